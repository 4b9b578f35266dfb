"""The cases with known verdicts: enough of them, fairly halved, repeatable; and the library is right on most."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from benchmarks.cases import cases
from benchmarks.labels import VERDICTS

import interplay as ip

NOWHERE = Path("no-such-folder")
KNOWN = cases(NOWHERE)


def test_there_are_enough_cases_of_every_verdict_in_both_halves():
    assert len(KNOWN) >= 60
    assert len({case.name for case in KNOWN}) == len(KNOWN)
    counts = Counter((case.half, case.verdict) for case in KNOWN)
    assert min(counts[half, verdict] for half in ("tune", "judge") for verdict in VERDICTS) >= 12


def test_halves_do_not_depend_on_recordings():
    from benchmarks.cases import cases as again

    halves = {case.name: case.half for case in again(NOWHERE)}
    assert halves == {case.name: case.half for case in KNOWN}


@pytest.mark.parametrize("case", KNOWN[::16], ids=lambda case: case.name)
def test_draws_repeat_and_differ(case):
    first, same, other = case.build(1), case.build(1), case.build(2)
    assert first.runs.equals(same.runs)
    assert not first.runs.equals(other.runs) or case.family == "constant"


@pytest.mark.slow
def test_most_verdicts_are_right_and_hardly_a_solid_one_is_false():
    """The tuning half, one draw of each that no threshold has seen; the judging half is for the benchmark."""
    right, false = [], []
    for case in KNOWN:
        if case.half != "tune":
            continue
        asked = case.build(1000)
        verdict = ip.attribute(asked.runs, pairs=False, **asked.options).trust.verdict
        right.append(verdict == case.verdict)
        if verdict == "solid":
            false.append(case.verdict != "solid")
    assert np.mean(right) >= 0.85
    assert np.mean(false) <= 0.15
