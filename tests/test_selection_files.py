"""A choice on disk: what was written is read again, whatever names hold; damage is an error and no other choice."""

import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.evaluations import EvaluationsError
from interplay.selection import Selection
from interplay.selection.result import Candidate
from tests.choices import CHOICES, choice
from tests.hostile import NAMES


def same(a, b):
    """Whether two choices are the same, NaN where NaN was, of the same types."""
    for f in fields(Selection):
        mine, theirs = getattr(a, f.name), getattr(b, f.name)
        if f.name in ("candidates", "front"):
            assert len(mine) == len(theirs)
            for one, other in zip(mine, theirs, strict=True):
                for part in fields(Candidate):
                    x, y = getattr(one, part.name), getattr(other, part.name)
                    assert type(x) is type(y), part.name
                    np.testing.assert_array_equal(x, y)
        elif isinstance(mine, float | np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
        else:
            assert mine == theirs, f.name


@pytest.mark.parametrize("kind", CHOICES)
def test_what_is_written_is_read_again(kind, tmp_path):
    chosen = CHOICES[kind]()
    path = chosen.save(tmp_path / "choice.json")
    again = Selection.load(path)
    same(chosen, again)
    assert repr(again) == repr(chosen)
    assert again.to_frame().equals(chosen.to_frame())
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_hostile_names_are_kept_to_the_letter(tmp_path):
    tasks = tuple(NAMES.values())
    chosen = choice(tasks=tasks, targets=tasks[:3])
    again = Selection.load(chosen.save(tmp_path / "choice"))
    assert (tmp_path / "choice.json").exists()
    assert again.tasks == tasks
    same(chosen, again)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=2, max_size=6, unique=True),
    targets=st.integers(1, 3),
    kind=st.sampled_from(["mask", "mixture"]),
    alternatives=st.integers(0, 3),
    front=st.integers(0, 2),
    numbers=st.lists(st.floats(width=64), min_size=4, max_size=4),
)
def test_any_choice_is_read_again(tmp_path_factory, names, targets, kind, alternatives, front, numbers):
    told = dict(zip(("risk", "bias", "stretch", "rank"), numbers, strict=True))
    held = {"alternatives": alternatives, "front": front, **told}
    chosen = choice(kind, names, [f"t{j}" for j in range(targets)], **held)
    same(chosen, Selection.load(chosen.save(tmp_path_factory.mktemp("any") / "c.json")))


def test_damage_is_said(tmp_path):
    path = choice().save(tmp_path / "choice.json")
    with pytest.raises(EvaluationsError, match=r"no such file; interplay select RUNS --out FILE"):
        Selection.load(tmp_path / "none.json")
    words = json.loads(path.read_text())
    for changed, said in (
        ({"interplay": "attribution"}, "not a choice, it is an attribution"),
        ({"version": 99}, "version 99 of a choice"),
        ({"arrays": "0"}, "not the arrays of"),
        ({"verdict": None, "surprise": 1}, "damaged, or written by another version"),
        ({"candidates": words["candidates"] * 2}, "damaged, or written by another version"),
        ({"candidates": []}, "damaged, its candidates do not fit"),
        ({"tasks": words["tasks"][:-1]}, "damaged, its candidates do not fit"),
    ):
        path.write_text(json.dumps({**words, **changed}))
        with pytest.raises(EvaluationsError, match=said):
            Selection.load(path)
    path.write_text(json.dumps({name: value for name, value in words.items() if name != "candidates"}))
    with pytest.raises(EvaluationsError, match="damaged"):
        Selection.load(path)
