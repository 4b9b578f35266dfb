"""The page of an answer in Chromium: how long it takes to make and to open, its size, and what the browser says to it.

Each case is a process of its own: seconds and peak memory of reading, attributing and writing the page. Then Chromium
opens the page at 1,200 pixels: "open" is first contentful paint, when the verdict can be read; then the figure of
effects, and every figure of the page; errors and warnings of the console; axe-core counts violations that it calls
serious or critical.

python -m benchmarks.bench_report '{"case": "digits", "out": "page.html", "data": "../shared/data"}'   # one page
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip
from interplay.evaluations import Evaluations

from .draws import Run
from .machine import peak, table

CASES = {
    "digits": "digits, 20 tasks, 11 targets, near-full runs and truth of eight seeds",
    "regmix": "RegMix, 17 tasks, 13 targets, 256 runs",
    "olmix": "olmix, 24 tasks, 110 targets, 127 runs",
    "coin_flip": "coin_flip, 50 tasks, 869 targets, 200 runs",
    "made": "made up, 50 tasks, 900 targets, 200 runs",
    "tasks": "made up, 500 tasks, 1 target, 700 runs",
}
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
READY = "html[data-ready=yes]"
EFFECTS = '[data-figure="effects"] .main-svg'


def report(data: Path, run: Run) -> str | None:
    """One table."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    rows, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        for case, what in list(CASES.items())[: 2 if run.quick else None]:
            out = Path(folder) / f"{case}.html"
            made = _made(case, out, data)
            if made is None:
                failed.append(f"- {what}: not here.")
                continue
            seen = _opened(out, chromium) if chromium else {}
            rows.append(
                [
                    what,
                    f"{made['attributed']:.1f}",
                    f"{made['written']:.1f}",
                    f"{made['MB']:.0f}",
                    f"{out.stat().st_size / 1e6:.1f}",
                    *(f"{seen[k]:.2f}" if k in seen else "-" for k in ("paint", "effects", "ready")),
                    *(str(seen.get(k, "-")) for k in ("errors", "serious")),
                ]
            )
    head = ["case", "attributed, s", "page written, s", "peak, MB", "page, MB"]
    head += ["open: first paint, s", "open: figure of effects, s", "open: all drawn, s"]
    lines = ["# Pages", "", table([*head, "console errors", "axe serious"], rows), *failed]
    return "\n".join([*lines, "", "Chromium is not installed: nothing was opened." if not chromium else ""])


def runs_of(case: str, data: Path) -> tuple[Evaluations, Evaluations | None] | None:
    """Runs and truth of a case; None where its recording is missing."""
    if case == "digits":
        from interplay.problems.digits import recording

        runs = recording()
        truth = runs.filter(runs.origin == "truth")
        return runs.filter((runs.origin == "near_full") & (runs.seed == 100)), truth
    if case == "regmix" and (place := data / "regmix").is_dir():
        metrics = place / "train_pile_loss_1m.csv"
        return Evaluations.read(place / "train_mixture_1m.csv", metrics=metrics)[:256], None
    if case == "olmix" and (place := data / "olmix").is_dir():
        return Evaluations.read(place / "dclm_ratios.csv", metrics=place / "dclm_metrics.csv"), None
    if case == "coin_flip" and (place := data / "coin_flip_icl.npz").exists():
        with np.load(place) as held:
            return Evaluations.from_arrays(held["masks"], held["losses"]), None
    rng = np.random.default_rng(0)
    if case == "made":
        masks = ip.masks.bernoulli(50, 200, p=0.7, rng=rng)
        few = masks @ rng.normal(size=(50, 8)) @ rng.normal(size=(8, 900))
        together = masks[:, :5].prod(axis=1)[:, None] * rng.normal(size=900)
        return Evaluations.from_arrays(masks, 0.1 * few + 0.2 * together + 0.3 * rng.normal(size=few.shape)), None
    if case == "tasks":
        masks = ip.masks.bernoulli(500, 700, p=0.7, rng=rng)
        value = masks @ (rng.normal(size=500) * (rng.random(500) < 0.1)) + 0.3 * rng.normal(size=700)
        return Evaluations.from_arrays(masks, value), None
    return None


def measure(case: str, out: Path, data: Path) -> dict[str, Any]:
    """Attribute and write the page, in this process."""
    from interplay.report import page

    began, found = time.perf_counter(), runs_of(case, data)
    if found is None:
        return {}
    answer = ip.attribute(*found)
    attributed = time.perf_counter()
    page.write(answer, out)
    return {"attributed": attributed - began, "written": time.perf_counter() - attributed, "MB": peak()}


def _made(case: str, out: Path, data: Path) -> dict[str, Any] | None:
    asked = json.dumps({"case": case, "out": str(out), "data": str(data)})
    command = [sys.executable, "-m", "benchmarks.bench_report", asked]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parent.parent)
    if done.returncode:
        raise RuntimeError(f"{case} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]) or None


def _opened(path: Path, chromium: str) -> dict[str, Any]:
    """Open a page once; the browser has started before."""
    try:
        from axe_playwright_python.sync_playwright import Axe
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS.split())
        page, said = browser.new_page(viewport={"width": 1200, "height": 900}), []
        page.goto("about:blank")
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        began = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector(EFFECTS, state="attached", timeout=120_000)
        effects = time.perf_counter() - began
        page.wait_for_selector(READY, state="attached", timeout=120_000)
        ready = time.perf_counter() - began
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
        serious = [v["id"] for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        browser.close()
    return {"paint": paint, "effects": effects, "ready": ready, "errors": len(said), "serious": len(serious)}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    asked = json.loads(sys.argv[1])
    print(json.dumps(measure(asked["case"], Path(asked["out"]), Path(asked["data"]))))
