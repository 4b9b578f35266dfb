"""Evaluators that the tests of stores and workers share: quick, with known answers, and with every fault."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from interplay import masks

TASKS = ("web", "code", "books", "wiki")
COEFFICIENTS = np.array([1.0, 0.5, 0.25, -0.3])


class Additive:
    """loss = 3 - s'c + seed / 100, after so many seconds a row; masks numbered in `fails` raise, in `diverges` are NaN.

    `log` names a file in which every evaluated row is counted, whatever becomes of it.
    """

    tasks, targets, fidelity = TASKS, ("loss",), "retrained"

    def __init__(self, seconds=0.0, *, batch=1, lr=0.1, fails=(), diverges=(), kills=(), hangs=(), **facts):
        self.seconds, self.batch, self.lr = seconds, batch, lr
        self.fails, self.diverges, self.kills, self.hangs = map(tuple, (fails, diverges, kills, hangs))
        self.notes = {"coupled": True, "absent_tasks": "fixed_steps"}
        self.calls = []
        self.log = None
        for name, value in facts.items():
            setattr(self, name, value)

    def fingerprint(self):
        return {"lr": self.lr, "data": {"rows": 100}}

    def evaluate(self, masks, seeds):
        self.calls.append((masks, seeds))
        time.sleep(self.seconds * len(masks))
        codes = [code(mask) for mask in masks]
        if self.log is not None:
            with open(self.log, "a") as file:
                file.writelines(f"{c} {seed}\n" for c, seed in zip(codes, seeds, strict=True))
        if any(c in self.kills for c in codes):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(c in self.hangs for c in codes):
            time.sleep(600)
        if any(c in self.fails for c in codes):
            raise RuntimeError("out of luck")
        values = truth(masks, seeds)
        values[[c in self.diverges for c in codes]] = np.nan
        return values


def code(mask):
    """Number a mask: 15 is the full one."""
    return int(np.asarray(mask) @ [8, 4, 2, 1])


def truth(masks, seeds):
    """Return the values (b, 1) that `Additive` measures."""
    return (3 - np.asarray(masks) @ COEFFICIENTS + np.asarray(seeds) / 100)[:, None]


DESIGN = np.vstack([masks.leave_one_out(4), masks.all_subsets(4)[:6]])
