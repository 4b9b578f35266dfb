"""The problem of mixtures of ten texts: how slots are filled, what couples mixtures, what the recording holds."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks import record_text_mixtures as record
from benchmarks.text_mixtures import BATCH, BUDGET, LENGTH, SOURCES, STEPS, TARGETS, TextMixtures, evaluator, slots
from benchmarks.text_mixtures import windows as windows_of

import interplay as ip

DATA = Path(__file__).parents[2] / "shared" / "data"
K = len(SOURCES)
SIZES = np.array([3, 5, 1000])


def read(w, seed=0):
    """Windows of each source in the order in which they are read."""
    filled = slots(np.array(w), SIZES, seed, 10, 20).reshape(-1, 2)
    return [filled[filled[:, 0] == k, 1] for k in range(len(w))]


def test_a_source_is_read_as_often_as_its_weight_says():
    counts = [len(own) for own in read([0.25, 0.05, 0.7])]
    assert np.abs(np.array(counts) - [50, 10, 140]).max() <= 1


def test_sources_are_read_epoch_by_epoch():
    first = read([0.25, 0.05, 0.7])[0]
    assert all(sorted(first[i : i + 3]) == [0, 1, 2] for i in range(0, 48, 3))


def test_mixtures_of_a_seed_share_orders_and_most_slots():
    one, other = read([0.25, 0.05, 0.7]), read([0.3, 0.05, 0.65])
    for a, b in zip(one, other, strict=True):
        n = min(len(a), len(b))
        assert np.array_equal(a[:n], b[:n])
    a, b = (slots(np.array(w), SIZES, 0, 10, 20)[..., 0] for w in ([0.25, 0.05, 0.7], [0.3, 0.05, 0.65]))
    assert 0.85 < np.mean(a == b) < 1
    assert not np.array_equal(one[2], read([0.25, 0.05, 0.7], seed=1)[2])


def test_no_slot_goes_to_a_source_without_weight():
    assert [len(own) for own in read([0.5, 0.0, 0.5])] == [100, 0, 100]
    assert [len(own) for own in read([0.0, 1.0, 0.0])] == [0, 200, 0]


def test_windows_hold_bytes_in_their_order():
    found = windows_of(["a" * LENGTH, "é" * LENGTH])
    assert found.shape == (3, LENGTH)
    assert (found[0] == ord("a")).all()
    assert found[1, :2].tolist() == [10, 10]
    assert (found[1, 2:] == 127).all()


def test_mixtures_are_looked_up_as_they_are_recorded():
    mixtures, origin = record.plan(np.arange(1, K + 1) / 55)
    assert np.array_equal(record.rounded(mixtures), mixtures)
    assert len(np.unique(mixtures, axis=0)) == len(origin) == 200
    assert (origin == "flat").sum() == 100
    with pytest.raises(ValueError, match="sum to one"):
        record.rounded(np.ones((1, K)))


def test_recorded_values_are_returned_without_the_texts(tmp_path, monkeypatch):
    w = np.full((1, K), 1 / K)
    values = np.arange(2.0 * len(TARGETS)).reshape(2, -1)
    runs = ip.Evaluations.from_arrays(
        np.repeat(w, 2, axis=0), values, tasks=tuple(SOURCES), targets=TARGETS, higher_is_better=False, seed=[100, 101]
    )
    monkeypatch.setattr(record, "POOL", tmp_path / "none.parquet")
    monkeypatch.setattr(record, "VERIFIED", tmp_path / "verified.parquet")
    runs.write(record.VERIFIED)
    assert record.verified(w + 1e-9, (101, 100))[0].tolist() == values[::-1].tolist()
    with pytest.raises(FileNotFoundError, match="1 trainings are in no recording"):
        record.verified(w, (100, 102), data=tmp_path)


def test_what_is_missing_is_trained_recorded_and_kept(tmp_path, monkeypatch):
    trained = []

    class Stub:
        tasks, targets, fidelity, higher_is_better = tuple(SOURCES), TARGETS, "retrained", [False] * len(TARGETS)

        def fingerprint(self):
            return {}

        def evaluate(self, masks, seeds):
            trained.extend(seeds.tolist())
            return np.tile(masks[:, :1] + seeds[:, None], len(TARGETS))

    (tmp_path / "instruct").mkdir()
    for name in ("POOL", "VERIFIED", "STORE"):
        monkeypatch.setattr(record, name, tmp_path / f"{name}.{'db' if name == 'STORE' else 'parquet'}")
    monkeypatch.setattr(record, "evaluator", lambda data: Stub())
    w = np.eye(K)[:2] * 0.5 + 0.5 / K
    assert np.allclose(record.verified(np.eye(K)[:1], (6,), data=tmp_path), 7)  # one source alone
    trained.clear()
    values = record.verified(w, (7, 8), names=["a", "b"], data=tmp_path)
    assert np.allclose(values[..., record.LOSS], w[:, :1] + [7, 8])
    assert sorted(trained) == [7, 7, 8, 8]
    assert np.array_equal(record.verified(w, (8,), data=tmp_path / "nowhere")[:, 0], values[:, 1])
    np.savez(tmp_path / "chosen.npz", names=["c"], weights=w[:1])
    record.main(["verify", str(tmp_path / "chosen.npz"), "--data", str(tmp_path)])
    assert set(ip.Evaluations.read(record.VERIFIED).origin) == {"chosen", "a", "b", "c"}


def test_a_training_repeats_itself_and_the_recording():
    torch = pytest.importorskip("torch")
    if not DATA.is_dir():
        pytest.skip("recordings: shared/data is not there")
    problem = TextMixtures(DATA)
    assert list(problem.tokens.values()) == record.tokens().tokens.tolist()
    assert BUDGET == STEPS * BATCH * LENGTH
    torch.set_num_threads(1)
    recorded = ip.Evaluations.read(record.POOL)
    i = int(np.flatnonzero((recorded.origin == "uniform") & (recorded.seed == 0))[0])
    again = evaluator(DATA).evaluate(recorded.masks[[i]], np.array([0]))[0]
    order = [recorded.targets.index(target) for target in TARGETS]
    assert np.allclose(again, recorded.values[i, order], atol=0.02)  # another machine rounds otherwise
