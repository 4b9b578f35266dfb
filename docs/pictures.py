"""The pictures of the README and the pages, made from recordings by ``python docs/pictures.py``.

effects.png        what each of 20 sources does, digits, 80 recorded runs, beside leave-one-out truth of eight seeds
interactions.png   which pairs repeat each other, from 200 runs of the same problem
mixture.png        what 5 % more of each of ten texts does, from 60 mixtures
page.png           the page that ``--out report.html`` writes, as Chromium shows it
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import interplay as ip
from interplay.problems.digits import recording

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
#: Bytes that a picture may have.
LARGEST = 200_000


def digits(m: int, pairs: bool = False) -> ip.Attribution:
    """Attribute the test loss of the digits problem from its first m recorded near-full runs."""
    runs = recording("near_full").where(seed=100).select(["loss"])
    return ip.attribute(runs.filter(np.arange(len(runs)) < m), recording("truth").select(["loss"]), pairs=pairs)


def mixture() -> ip.Attribution:
    """Attribute the loss of the runs in examples/choose_a_mixture to their ten texts."""
    return ip.attribute(
        ip.Evaluations.read(HERE.parent / "examples" / "choose_a_mixture" / "runs.parquet"), pairs=False
    )


def page(answer: ip.Attribution, out: Path) -> None:
    """Take a picture of the upper part of the page of an answer."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        given = {"runs": "runs.db", "target": [], "derived": False}  # as the command line would note it
        answer = replace(answer, made={**answer.made, "given": given})
        ip.report.page.write(answer, Path(folder) / "report.html")
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        shown = browser.new_page(viewport={"width": 1100, "height": 1240}, color_scheme="light")
        shown.goto((Path(folder) / "report.html").as_uri())
        shown.wait_for_selector("html[data-ready=yes]", state="attached", timeout=60_000)
        shown.screenshot(path=out)
        browser.close()


def main() -> int:
    """Make all pictures; say which are too large."""
    FOLDER.mkdir(exist_ok=True)
    few, many = digits(80), digits(200, pairs=True)
    ip.plots.save(ip.plots.effects(few, "loss"), FOLDER / "effects.png", dpi=110)
    ip.plots.save(ip.plots.interactions(many, "loss"), FOLDER / "interactions.png", dpi=110)
    ip.plots.save(ip.plots.mixture(mixture(), "loss"), FOLDER / "mixture.png", dpi=110)
    page(many, FOLDER / "page.png")
    large = [path.name for path in FOLDER.glob("*.png") if path.stat().st_size > LARGEST]
    print("\n".join(f"{name} is larger than {LARGEST // 1000} kB" for name in large))
    return int(bool(large))


if __name__ == "__main__":
    sys.exit(main())
