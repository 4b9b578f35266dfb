"""Phases of training: a mixture for each, written as one mixture over tasks that are called PHASE:TASK.

w_pk = share_p q_pk        sum_k q_pk = 1 in every phase p,   sum_p share_p = 1

q_p is what phase p is trained on and share_p its part of the whole training (of its tokens), so that w sums to one and
every surrogate takes it as it is. Readings keep the share of each phase: a move goes from the other tasks of the phase
to one of its own (`readings.effects`), for which `phase_blocks` numbers the phases of the tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evaluations import Evaluations, EvaluationsError
from .fields import listed
from .kinds import SIMPLEX_TOLERANCE

__all__ = ["joined_phases", "no_token_proportion", "parse", "phase_blocks", "phased", "scaled", "shares_of"]

Array = NDArray[np.float64]
Shares = Mapping[str, float | None] | Sequence[str]


def phased(runs: Evaluations, shares: Shares) -> Evaluations:
    """Turn runs with a mixture for each phase of training into runs of one mixture over phases and tasks.

    Parameters
    ----------
    runs : Evaluations
        Tasks are called ``PHASE:TASK``. In every run the weights of a phase sum to 1, or to its share, within 1 %.
    shares : mapping of names of phases to their parts of the training, or sequence of names
        Phases without a number divide what is left equally: ``["main", "anneal"]`` are a half each.

    Returns
    -------
    Evaluations
        Of kind "mixture", with ``notes["phases"]`` = shares.

    Raises
    ------
    EvaluationsError
        For a task of no phase, a phase without tasks, shares that do not sum to 1, or a run in which a phase sums to
        neither.

    Examples
    --------
    >>> import interplay as ip
    >>> names = ["main:web", "main:code", "anneal:web", "anneal:code"]
    >>> runs = ip.Evaluations.from_arrays([[0.7, 0.3, 0.2, 0.8], [0.5, 0.5, 1, 0]], [2.1, 2.3], tasks=names)
    >>> runs = ip.phased(runs, {"main": 0.9, "anneal": 0.1})
    >>> runs.masks.round(3).tolist(), runs.kind, runs.notes["phases"]
    ([[0.63, 0.27, 0.02, 0.08], [0.45, 0.45, 0.1, 0.0]], 'mixture', {'main': 0.9, 'anneal': 0.1})
    """
    if runs.kind == "coefficients":
        raise EvaluationsError("runs are merging coefficients; phases of training have mixtures.")
    known = shares_of(shares)
    rows = [f"row {i + 1}{f' ({name})' * bool(name)}" for i, name in enumerate(runs.origin.tolist())]
    weights = scaled(runs.masks, runs.tasks, known, rows)
    return replace(runs, masks=weights, kind="mixture", notes={**runs.notes, "phases": known})


def parse(text: str) -> dict[str, float | None]:
    """Read phases as they are written on a command line: 'main=0.9,anneal=0.1', or 'main,anneal'."""
    shares: dict[str, float | None] = {}
    for part in text.split(","):
        name, stated, share = (piece.strip() for piece in part.partition("="))
        try:
            number = float(share) if stated else None
        except ValueError:
            raise EvaluationsError(
                f"{part.strip()!r} has no number after '='; write it as in main=0.9,anneal=0.1."
            ) from None
        if not name or name in shares:
            raise EvaluationsError(
                f"{text!r} {'names ' + repr(name) + ' twice' if name else 'has a phase without a name'}; write it as "
                "in main=0.9,anneal=0.1."
            )
        shares[name] = number
    return shares


def scaled(weights: Array, tasks: Sequence[str], shares: Mapping[str, float], rows: Sequence[str]) -> Array:
    """Bring rows (n, K) whose phases sum to 1, or to their shares, to their shares exactly.

    Parameters
    ----------
    weights : array (n, K)
    tasks : sequence of str (K,)
    shares : mapping of str to float
    rows : sequence of str (n,)
        How rows are called in messages.
    """
    index, phases = _numbered(tasks, list(shares)), list(shares)
    if lost := [task for task, p in zip(tasks, index, strict=True) if p < 0]:
        raise EvaluationsError(
            f"{listed([repr(t) for t in lost])} {'is' if len(lost) == 1 else 'are'} of no phase: tasks are called "
            f"PHASE:TASK, and the phases are {listed(phases)}. Correct the phases, or rename the column; if "
            f"it is no task, name it as a target (--target) or leave it out (--ignore {quote(lost[0])})."
        )
    for p, phase in enumerate(phases):
        if p not in index:
            raise EvaluationsError(
                f"phase {phase!r} has no task: none is called '{phase}:TASK'. The tasks are {listed(list(tasks))}."
            )
    member = np.equal.outer(index, np.arange(len(phases))).astype(float)
    total, share = weights @ member, np.array(list(shares.values()))
    off = [np.abs(total - want) > SIMPLEX_TOLERANCE * want for want in (np.ones_like(share), share)]
    wrong = min(off, key=lambda found: found.any(axis=1).sum())
    if wrong.any():
        i, p = np.argwhere(wrong)[0]
        several = int(wrong.any(axis=1).sum())
        raise EvaluationsError(
            f"{rows[i]}: phase {phases[p]!r} sums to {total[i, p]:.4g}; a phase sums to 1, or all phases to their "
            f"shares ({_stated(shares)}), within 1 % ({several} of "
            f"{len(weights)} rows do not). Normalise it, correct the shares, or leave that run out."
        )
    return weights * ((share / total) @ member.T)


def phase_blocks(notes: Mapping[str, Any], names: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the number of the phase of each task (P,); None where the runs are not of several phases.

    Parameters
    ----------
    notes : mapping
        Of the runs, see `phased`.
    names : sequence of str (P,)
    """
    shares = notes.get("phases")
    if not isinstance(shares, Mapping) or len(shares) < 2:
        return None
    index = np.array(_numbered(names, list(shares)), dtype=np.int64)
    return index if (index >= 0).all() else None


def no_token_proportion(notes: Mapping[str, Any]) -> None:
    """Raise an error where runs have phases: there no mixture reads every task equally often and keeps their shares."""
    if isinstance(shares := notes.get("phases"), Mapping) and len(shares) > 1:
        raise EvaluationsError(
            "reference='tokens' is the mixture in which every task is read equally often; it gives each phase the "
            f"share of its tokens, not the one that it has here ({_stated(shares)}). Take 'mean', 'uniform', or a "
            "mixture of your own."
        )


def _stated(shares: Mapping[str, float]) -> str:
    return listed([f"{phase} {share:.4g}" for phase, share in shares.items()])


def joined_phases(
    names: Sequence[str], parts: Sequence[Evaluations], weights: Array, tasks: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Join the notes on phases of tables with these names: those of the joined rows (m, K), and what is to be said.

    Raises
    ------
    EvaluationsError
        Where some tables are of other phases.
    """
    each = [part.notes["phases"] if phase_blocks(part.notes, part.tasks) is not None else None for part in parts]
    if not any(each):
        return {}, []
    for name, shares in zip(names, each, strict=True):
        if set(shares or ()) != set(each[0] or ()):
            first, here = (f"of phases {listed(list(s))}" if s else "of no phases" for s in (each[0], shares))
            raise EvaluationsError(
                f"{names[0]} is {first} and {name} {here}. Join them as they were before `phased`, or attribute them "
                "apart."
            )
    phases = list(each[0] or ())
    index = np.array(_numbered(tasks, phases))
    shares = {phase: float(weights[:, index == p].sum(axis=1).mean()) for p, phase in enumerate(phases)}
    if all(np.allclose([shares[p] for p in phases], [other[p] for p in phases], rtol=1e-6) for other in each if other):
        return {"phases": dict(each[0] or {})}, []
    return {"phases": shares}, ["the tables differ in the shares of the phases; moves keep those of the reference"]


def _numbered(tasks: Sequence[str], phases: Sequence[str]) -> list[int]:
    """Which phase each task is of, -1 for none; of phases that begin alike, the longer one."""
    longest = sorted(range(len(phases)), key=lambda p: -len(phases[p]))
    return [next((p for p in longest if task.startswith(f"{phases[p]}:")), -1) for task in tasks]


def shares_of(given: Shares) -> dict[str, float]:
    """Read shares: each above zero, one in sum, what is not stated in equal parts."""
    stated = dict(given) if isinstance(given, Mapping) else dict.fromkeys([given] if isinstance(given, str) else given)
    if not stated:
        raise EvaluationsError("shares name no phase; give them as in {'main': 0.9, 'anneal': 0.1}.")
    left = 1.0 - sum(share for share in stated.values() if share is not None)
    open_ = [phase for phase, share in stated.items() if share is None]
    shares = {phase: float(left / len(open_) if share is None else share) for phase, share in stated.items()}
    for phase, share in shares.items():
        if not share > 0 or not np.isfinite(share):
            raise EvaluationsError(
                f"phase {phase!r} has share {share:.4g} of the training; shares are above 0 and sum to 1. Give one for "
                "each phase, as in main=0.9,anneal=0.1."
            )
    total = sum(shares.values())
    if abs(total - 1.0) > SIMPLEX_TOLERANCE:
        raise EvaluationsError(
            f"shares of the phases sum to {total:.4g} ({_stated(shares)}); they "
            "are parts of one training and sum to 1. Divide them by their sum."
        )
    return {phase: share / total for phase, share in shares.items()}
