"""What a design can tell apart, and what is said about the rest."""

import numpy as np
import pytest

from interplay import Evaluations, masks
from interplay.identifiability import identifiability, identifiability_by_target


def test_tasks_that_never_switch_or_always_together():
    found = identifiability(
        [
            [1, 0, 1, 0, 1, 0, 1],
            [1, 0, 0, 1, 0, 1, 1],
            [1, 0, 1, 1, 1, 0, 0],
            [1, 0, 0, 0, 0, 1, 0],
        ]
    )
    assert found.always_on == (0,)
    assert found.always_off == (1,)
    assert found.aliased == ((2, 4),)
    assert found.opposed == ((2, 5),)
    assert found.identifiable.tolist() == [False, False, False, True, False, False, True]
    assert found.alias_of(2) == (4,)
    assert found.alias_of(3) == ()
    assert found.size is None
    assert found.rank == 3
    said = found.messages(list("abcdefg"))
    assert said == [
        "a is always on: its effect is not identifiable",
        "b is always off: its effect is not identifiable",
        "c and e always switch together: one effect, not identifiable one by one",
        "c is on exactly when f is off: only the difference of their effects is identifiable",
    ]
    assert found.messages(list("abcdefg"), others=found) == []


def test_designs_of_one_size(rng):
    found = identifiability(masks.fixed_size(8, 40, 3, rng))
    assert found.size == 3
    assert found.rank == 7
    assert identifiability(masks.leave_one_out(5)).size is None


def test_weights_that_are_proportional_are_one():
    rng = np.random.default_rng(0)
    a = rng.random((6, 1))
    found = identifiability(np.hstack([a, 3 * a, rng.random((6, 1)), np.full((6, 1), 0.2), np.zeros((6, 1))]))
    assert found.aliased == ((0, 1),)
    assert found.always_on == (3,)
    assert found.always_off == (4,)
    assert found.opposed == ()


def test_no_rows():
    assert identifiability(np.zeros((0, 3))).always_off == (0, 1, 2)
    assert identifiability([[1, 0]]).always_on == (0,)
    with pytest.raises(ValueError, match=r"shape"):
        identifiability([1, 0])


def test_targets_that_were_measured_in_some_runs(rng):
    x = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1], [0, 1, 0], [1, 1, 0], [0, 1, 1]], dtype=float)
    own = np.where(x[:, 0] == 1, rng.random(6), np.nan)
    runs = Evaluations.from_arrays(
        x,
        np.column_stack([rng.random(6), np.full(6, 0.3), own]),
        tasks=["a", "b", "c"],
        targets=["loss", "flat_loss", "a_loss"],
    )
    by_target = identifiability_by_target(runs)
    assert by_target[0] is by_target[1]
    assert by_target[2].always_on == (0, 1)
    assert by_target[2].messages(runs.tasks, where="where a_loss was measured", others=by_target[0]) == [
        "a is always on where a_loss was measured: its effect is not identifiable"
    ]
