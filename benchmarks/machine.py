"""What a figure was measured on, how long something takes, and tables in Markdown."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any


def machine(packages: Iterable[str] = ("numpy", "scipy", "scikit-learn", "pandas", "shapiq")) -> str:
    """Processor, cores, threads and versions, in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return (
        f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{threads} thread(s){load}; Python {platform.python_version()}, {', '.join(versions)}"
    )


def peak() -> float:
    """Most memory that this program ever had, in MB.

    ``ru_maxrss`` would begin with what its parent had.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return float(found[0] if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024


def seconds(call: Callable[[], Any], repeats: int = 3) -> float:
    """Median wall-clock time of a call, the first one, which loads what is lazy, left out where there are several."""
    times = []
    for _ in range(repeats + (repeats > 1)):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return median(times[-repeats:])


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; floats with three significant digits."""
    text = lambda cell: f"{cell:.3g}" if isinstance(cell, float) else str(cell)
    lines = [head, ["---"] * len(head), *([text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def time_text(value: float) -> str:
    """Seconds in a unit that reads well."""
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
