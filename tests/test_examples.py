"""Every example from its recording, as a new user runs it: what it prints, its README, and how heavy it is."""

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
#: Folder: script, and what its output must say (the choice, and a measured gain above 0 over what is named).
SCRIPTS = {
    "which_sources_to_drop": ("drop.py", ["Leave out", "wrong_a, wrong_b, wrong_c, wrong_d", "all sources", "best of"]),
    "mislabelled_sources": ("find.py", ["wrong_a, wrong_b, wrong_c, wrong_d", "interplay"]),
    "choose_a_mixture": ("mixture.py", ["commonsenseqa", "uniform", "proportional", "best of"]),
    "how_many_more_runs": ("how_many.py", ["24  not supported", "32  solid", "stop with 40 runs"]),
    "text_sources": ("leave_out.py", ["banking10", "all sources"]),
    "two_processes": ("two_processes.py", ["indicative", "solid", "all sources", "best of"]),
}
SECONDS, LINES, BYTES = 20, 60, 100_000
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
#: Runs a script as the main program and ends with an error if it imported torch.
WITHOUT_TORCH = (
    "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
    "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
)
each = pytest.mark.parametrize("folder", SCRIPTS)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What a script prints from its recording, and the processor seconds it took; each is run once."""
    known: dict[str, tuple[str, float]] = {}

    def of(folder: str) -> tuple[str, float]:
        if folder not in known:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                [sys.executable, "-c", WITHOUT_TORCH, EXAMPLES / folder / SCRIPTS[folder][0]],
                cwd=tmp_path_factory.mktemp(folder),  # it finds its recording from anywhere
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stderr
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            known[folder] = done.stdout, spent
        return known[folder]

    return of


def close(shown: str, printed: str) -> bool:
    """Whether two lines are the same words, with numbers that agree to what other machines may differ by."""
    if NUMBER.sub("#", shown).split() != NUMBER.sub("#", printed).split():
        return False
    a, b = (np.array(NUMBER.findall(line), float) for line in (shown, printed))
    return np.allclose(a, b, rtol=0.03, atol=0.004) or ("%" in shown and np.allclose(a, b, atol=3))


@each
def test_it_chooses_and_says_by_how_much_it_is_better(folder, printed):
    out, seconds = printed(folder)
    for words in SCRIPTS[folder][1]:
        assert words in out
    assert seconds < SECONDS
    for line in out.splitlines():  # of the rivals: a gain that is certain
        if re.match(r"  (all|uniform|proportional|the best|the plain)", line):
            gain, error = map(float, re.findall(r"([+-][\d.]+) ± ([\d.]+)", line)[0])
            assert gain > 2 * error, line


@each
def test_its_readme_quotes_what_it_prints(folder, printed):
    text = (EXAMPLES / folder / "README.md").read_text()
    quoted = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    assert quoted is not None
    shown, real = (lines.rstrip().splitlines() for lines in (quoted.group(1), printed(folder)[0]))
    assert len(shown) == len(real)
    for one, other in zip(shown, real, strict=True):
        assert close(one, other), f"{one!r} in the README, {other!r} printed"


@each
def test_it_is_small_and_complete(folder):
    script = EXAMPLES / folder / SCRIPTS[folder][0]
    text = (EXAMPLES / folder / "README.md").read_text()
    assert len(script.read_text().splitlines()) < LINES
    assert f"python {script.name}" in text
    assert "--live" in text
    assert "picture.png" in text
    files = [path for path in (EXAMPLES / folder).iterdir() if path.is_file() and not path.name.startswith("live.db")]
    assert {path.suffix for path in files} >= {".py", ".md", ".parquet", ".png"}
    for path in files:
        assert path.stat().st_size < BYTES, path


@each
def test_the_index_names_it(folder):
    assert f"]({folder})" in (EXAMPLES / "README.md").read_text()


def live(script, *options, cwd):
    """What a script says on standard error that is to train for real, and cannot."""
    command = [sys.executable, script, "--live", *options]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("folder", ["choose_a_mixture", "text_sources"])
@pytest.mark.parametrize("given", [("--data", "texts"), ("--data",), ("--data", "--picture"), ()])
def test_live_says_which_texts_are_missing(folder, given, tmp_path):
    said = live(EXAMPLES / folder / SCRIPTS[folder][0], *given, cwd=tmp_path)
    named = [*given[1:], "(none)" if given else "."][0]
    assert said.startswith(f"--data {named}: no instruct/ there. --data FOLDER says where the texts lie")
    assert said.count("\n") == 1


def test_live_says_that_it_needs_a_checkout(tmp_path):
    script = tmp_path / "examples" / "choose_a_mixture" / "mixture.py"
    shutil.copytree(EXAMPLES / "choose_a_mixture", script.parent)
    (tmp_path / "instruct").mkdir()
    said = live(script, "--data", tmp_path, cwd=tmp_path)
    assert said == f"--live: {tmp_path} has no benchmarks/text_mixtures.py; run it in a checkout (git clone).\n"


def test_live_says_at_once_what_it_does(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "instruct").mkdir()
    said = live(EXAMPLES / "text_sources" / "leave_out.py", "--data", tmp_path, cwd=tmp_path)
    assert said.startswith("estimates.parquet: SmolLM2 loads and trains about 4 minutes\n")
    assert "amazon_sentiment.jsonl" in said  # the folder holds no texts


def test_judges_are_in_no_fit():
    import interplay as ip

    for folder in SCRIPTS:
        judged = EXAMPLES / folder / "judged.parquet"
        for other in EXAMPLES.glob(f"{folder}/*.parquet"):
            if judged.exists() and other != judged:
                seeds = [set(ip.Evaluations.read(path).seed.tolist()) for path in (judged, other)]
                assert not seeds[0] & seeds[1], other
