"""Where a process runs, and whether one that stood here before still does.

A place is a machine since it started, as one space of process numbers sees it; a process is its number and its start.
Another process of the same place that is gone is known to be dead at once, without waiting for its heartbeat to stop.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

__all__ = ["alive", "here", "this_process"]


def here() -> str:
    """Return the place of this process."""
    parts = [socket.gethostname(), _read("/proc/sys/kernel/random/boot_id").strip(), _link("/proc/self/ns/pid")]
    return " ".join(part for part in parts if part)[:300]


def this_process() -> str:
    """Return this process: its number, and its start where the system tells it."""
    return f"{os.getpid()} {_start(os.getpid())}".strip()


def alive(place: str, process: str) -> bool | None:
    """Tell whether a process is alive; None where it is in another place, or this system does not tell."""
    if place != here() or not Path("/proc/self/stat").exists():
        return None
    number, _, start = process.partition(" ")
    return bool(start) and _start(int(number)) == start


def _start(process: int) -> str:
    """Return the start of a process in ticks since the machine's; empty where there is none, or it only waits to go."""
    fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
