"""Files in and out: identical round trips, real recordings, pairs of files, and columns sorted, never guessed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interplay import Evaluations
from interplay.evaluations import EvaluationsError
from interplay.formats.csv import write_masks
from interplay.masks import all_subsets

DATA = Path(__file__).parents[2] / "shared" / "data"
recorded = pytest.mark.skipif(not DATA.is_dir(), reason=f"recordings: {DATA} is not there")

LETTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), include_characters="\n\t,;\"'")
NAMES = st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(bool)
WORDS = st.text(LETTERS, max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FLOATS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def tables(draw):
    m, K, T = draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    kind = draw(st.sampled_from(["mask", "mixture", "weights", "coefficients"]))
    cell = {"mask": st.sampled_from([0.0, 1.0]), "coefficients": FLOATS}.get(kind, st.floats(0, 1e9))
    masks = np.array(draw(st.lists(st.lists(cell, min_size=K, max_size=K), min_size=m, max_size=m)))
    if kind == "mixture":
        masks = (masks + 1) / (masks + 1).sum(axis=1, keepdims=True)
    odd = st.sampled_from(["seed", "run", "interplay", "target:x", "task:x", "lower:x", "Unnamed: 0", "Index"])
    return Evaluations.from_arrays(
        masks,
        draw(st.lists(st.lists(FLOATS | st.just(np.nan), min_size=T, max_size=T), min_size=m, max_size=m)),
        tasks=draw(st.lists(NAMES | odd, min_size=K, max_size=K, unique=True)),
        targets=draw(st.lists(NAMES | odd, min_size=T, max_size=T, unique=True)),
        higher_is_better=draw(st.lists(st.booleans(), min_size=T, max_size=T)),
        kind=kind,
        fidelity=draw(st.lists(WORDS.map(lambda w: w or "retrained"), min_size=m, max_size=m)),
        seed=draw(st.lists(st.integers(-1, 2**62), min_size=m, max_size=m)),
        cost=draw(st.lists(FLOATS | st.just(np.nan), min_size=m, max_size=m)),
        origin=draw(st.lists(WORDS, min_size=m, max_size=m)),
        notes=draw(st.dictionaries(WORDS, JSON, max_size=3)),
        warnings=draw(st.lists(WORDS, max_size=2)),
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=tables())
def test_files_give_back_what_was_written(tmp_path, suffix, runs):
    path = runs.write(tmp_path / f"runs{suffix}")
    again = Evaluations.read(path, min_runs=0)
    for name in ("kind", "tasks", "targets", "higher_is_better", "notes", "warnings"):
        assert getattr(again, name) == getattr(runs, name)
    for name in ("masks", "values", "seed", "cost", "fidelity", "origin"):
        np.testing.assert_array_equal(getattr(again, name), getattr(runs, name))
    assert again.equals(runs)


@recorded
def test_recordings_round_trip(tmp_path):
    folder = DATA / "olmix"
    runs = Evaluations.read(folder / "dclm_ratios.csv", metrics=folder / "dclm_metrics.csv")
    for suffix in (".csv", ".parquet", ".npz"):
        assert Evaluations.read(runs.write(tmp_path / f"x{suffix}")).equals(runs)


@recorded
def test_regmix():
    folder = DATA / "regmix"
    runs = Evaluations.read(folder / "train_mixture_1m.csv", metrics=folder / "train_pile_loss_1m.csv")
    assert (runs.m, runs.K, runs.T, runs.kind) == (512, 17, 13, "mixture")
    assert not any(runs.higher_is_better)
    assert runs.warnings == ()
    assert runs.origin[:2].tolist() == ["1", "2"]
    mixtures = pd.read_csv(folder / "train_mixture_1m.csv")
    losses = pd.read_csv(folder / "train_pile_loss_1m.csv").set_index("index").loc[mixtures["index"]]
    np.testing.assert_array_equal(runs.masks, mixtures.drop(columns="index"))
    np.testing.assert_array_equal(runs.values, losses)
    few = Evaluations.read(
        folder / "test_mixture_1m.csv", metrics=folder / "test_pile_loss_1m.csv", targets=["*arxiv*", "*pile_cc*"]
    )
    assert few.targets == ("metric/the_pile_arxiv_val_loss", "metric/the_pile_pile_cc_val_loss")
    assert few.m == 256


@recorded
def test_olmix():
    folder = DATA / "olmix"
    runs = Evaluations.read(folder / "dclm_ratios.csv", metrics=folder / "dclm_metrics.csv")
    assert (runs.m, runs.K, runs.T, runs.kind) == (127, 24, 110, "mixture")
    assert runs.tasks[0] == "adult_content"
    assert runs.origin[0] == "19g3guks"
    assert runs.warnings[0].startswith("arc_challenge:rc::olmes, ")
    assert "are taken as lower is better: their names do not say" in runs.warnings[0]
    assert "--higher-is-better" in runs.warnings[0]


@recorded
@pytest.mark.parametrize(("name", "K", "T", "m"), [("sources", 10, 3, 1023), ("points", 15, 2, 4096)])
def test_valuation(name, K, T, m):
    path = DATA / "valuation" / f"{name}_adult.csv"
    runs = Evaluations.read(path, targets="acc_*")
    assert (runs.m, runs.K, runs.T, runs.kind) == (m, K, T, "mask")
    assert all(runs.higher_is_better)
    assert Evaluations.read(path).targets == runs.targets
    with pytest.raises(EvaluationsError, match=r"'acc_random_forest'.* cannot be .*--ignore"):
        Evaluations.read(path, targets="acc_decision_tree")


@pytest.fixture
def frame(rng):
    masks = pd.DataFrame(rng.integers(0, 2, (8, 3)), columns=["a", "b", "c"])
    return masks.assign(loss=rng.random(8), f1=rng.random(8))


def test_metadata_is_no_task(frame):
    frame = frame.assign(Run=[f"r{i}" for i in range(8)], seed=range(8), cost=1.5, fidelity="big", name="x")
    frame.insert(0, "Unnamed: 0", range(8))
    runs = Evaluations.from_frame(frame, targets=["loss", "f1"])
    assert runs.tasks == ("a", "b", "c")
    assert runs.higher_is_better == (False, True)
    assert runs.seed.tolist() == list(range(8))
    assert set(runs.cost) == {1.5}
    assert set(runs.fidelity) == {"big"}
    assert runs.origin[3] == "r3"
    assert set(Evaluations.from_frame(frame, targets=["loss", "f1"], fidelity="est").fidelity) == {"est"}
    indexed = Evaluations.from_frame(frame.set_index("Run"), targets=["loss", "f1"])
    assert indexed.equals(runs)


def test_what_is_not_stated(frame):
    frame = frame.assign(seed=[0, None, 2, 3, 4, 5, 6, 7], fidelity=["x", None] * 4)
    runs = Evaluations.from_frame(frame, targets=["loss", "f1"])
    assert runs.seed.tolist() == [0, -1, 2, 3, 4, 5, 6, 7]
    assert runs.fidelity[:2].tolist() == ["x", "retrained"]
    assert set(runs.origin) == {"frame"}


def test_tasks_targets_and_ignored_columns_by_name_and_glob(frame):
    frame = frame.assign(note="text", steps=100)
    runs = Evaluations.from_frame(frame, targets="l*", ignore=["f1", "note", "st*"])
    assert (runs.tasks, runs.targets) == (("a", "b", "c"), ("loss",))
    runs = Evaluations.from_frame(frame, targets=["f1", "loss"], tasks=["c", "a"])
    assert (runs.tasks, runs.targets) == (("c", "a"), ("f1", "loss"))
    costly = frame.assign(cost=frame["loss"], name=1 - frame["a"]).drop(columns=["note", "steps"])
    runs = Evaluations.from_frame(costly, targets=["cost", "loss", "f1"], tasks=["name", "a"])
    assert runs.targets[0] == "cost"
    assert runs.tasks == ("name", "a")
    odd = frame.rename(columns={"loss": "loss[1]"})
    assert Evaluations.from_frame(odd, targets=["loss[1]"], tasks=["a", "b"]).targets == ("loss[1]",)


def test_directions_can_be_set(frame):
    runs = Evaluations.from_frame(
        frame.rename(columns={"loss": "x"}), targets=["x", "f1"], higher_is_better="x", lower_is_better=["f*"]
    )
    assert runs.higher_is_better == (True, False)
    assert runs.warnings == ()
    guessed = Evaluations.from_frame(frame.rename(columns={"loss": "x"}), targets=["x", "f1"])
    assert guessed.higher_is_better == (False, True)
    assert "x is taken as lower is better: its name does not say" in guessed.warnings[0]


def test_targets_may_be_marked_in_the_header(frame):
    marked = frame.rename(columns={"loss": "target:higher:loss", "f1": "target:f1"})
    runs = Evaluations.from_frame(marked)
    assert (runs.targets, runs.higher_is_better) == (("loss", "f1"), (True, True))
    assert Evaluations.from_frame(marked, targets="f1").tasks == ("a", "b", "c")


def test_kinds_of_columns(rng):
    weights = rng.random((9, 3)) * 3
    frame = pd.DataFrame(weights, columns=["a", "b", "c"]).assign(loss=1.0)
    assert Evaluations.from_frame(frame, targets="loss").kind == "weights"
    mixture = pd.DataFrame(weights / weights.sum(axis=1, keepdims=True), columns=["a", "b", "c"]).assign(loss=1.0)
    assert Evaluations.from_frame(mixture, targets="loss").kind == "mixture"
    signed = frame.assign(a=-frame["a"])
    assert Evaluations.from_frame(signed, targets="loss", kind="coefficients").kind == "coefficients"
    switches = frame.assign(a=True, b=["True", "false"] * 4 + ["True"], c=[0, 1] * 4 + [1])
    assert Evaluations.from_frame(switches, targets="loss").kind == "mask"


def test_missing_values_can_be_skipped(frame):
    frame.loc[[1, 2], "loss"] = None
    runs = Evaluations.from_frame(frame, targets=["loss", "f1"], missing="skip")
    assert np.isnan(runs.values).sum() == 2
    assert runs.warnings == ("2 values were not measured; fitted on fewer runs: loss on 6 of 8 runs",)


def test_csv_dialects(tmp_path, frame):
    path = tmp_path / "runs.csv"
    frame.to_csv(path, sep=";", index=False, encoding="utf-8-sig")
    assert Evaluations.read(path, targets=["loss", "f1"]).equals(
        Evaluations.from_frame(frame, targets=["loss", "f1"], name="runs.csv")
    )
    frame.to_csv(tmp_path / "runs.tsv", sep="\t")
    assert Evaluations.read(tmp_path / "runs.tsv", targets=["loss", "f1"]).tasks == ("a", "b", "c")
    path.write_text("a, b, loss\n1, 0, 0.5\n\n" + "0, 1, NA\n" * 5 + "1, 1, .25\n" * 5)
    runs = Evaluations.read(path, targets="loss", missing="skip")
    assert runs.m == 11
    assert np.isnan(runs.values).sum() == 5


def test_parquet_of_pandas(tmp_path, frame):
    frame["a"] = frame["a"].astype("Int64")
    frame["b"] = frame["b"].astype(bool)
    frame.set_index(pd.Index(range(3, 11), name="run")).to_parquet(tmp_path / "x.parquet")
    runs = Evaluations.read(tmp_path / "x.parquet", targets=["loss", "f1"])
    assert runs.kind == "mask"
    assert runs.origin[0] == "3"


def test_npz_from_elsewhere(tmp_path, frame):
    path = tmp_path / "x.npz"
    np.savez(path, masks=frame[["a", "b"]].to_numpy(), values=frame["loss"].to_numpy())
    runs = Evaluations.read(path)
    assert (runs.tasks, runs.targets, runs.kind) == (("task_0", "task_1"), ("target",), "mask")
    np.savez(
        path,
        masks=frame[["a", "b"]].to_numpy(),
        values=frame[["loss", "f1"]].to_numpy(),
        tasks=["x", "y"],
        targets=["loss", "acc"],
        seed=np.arange(8),
    )
    runs = Evaluations.read(path)
    assert (runs.tasks, runs.targets, runs.higher_is_better) == (("x", "y"), ("loss", "acc"), (False, True))
    assert runs.seed.tolist() == list(range(8))
    assert Evaluations.read(path, targets="acc", ignore="x").tasks == ("y",)


def test_pairs_keep_seeds_as_rows(tmp_path, frame):
    ratios = frame[["a", "b", "c"]].assign(run=list("stuvwxyz"))
    metrics = pd.concat(
        [frame[["loss", "f1"]].assign(run=list("stuvwxyz"), seed=s, a=frame["loss"]) for s in (0, 1)]
    ).iloc[::-1]
    ratios.to_csv(tmp_path / "ratios.csv", index=False)
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    runs = Evaluations.read(tmp_path / "ratios.csv", metrics=tmp_path / "metrics.csv", ignore="f1")
    assert runs.m == 16
    assert (runs.tasks, runs.targets) == (("a", "b", "c"), ("loss", "a"))
    assert runs.origin[:4].tolist() == ["s", "s", "t", "t"]
    assert runs.seed[:2].tolist() == [1, 0]
    np.testing.assert_array_equal(runs.values[::2, 0], frame["loss"])
    np.testing.assert_array_equal(runs.masks[1::2], frame[["a", "b", "c"]])


def test_pairs_join_on_the_first_column_they_share(tmp_path, frame):
    frame[["a", "b", "c"]].assign(run_id=range(8), index=range(8)).to_parquet(tmp_path / "r.parquet")
    frame[["loss"]].assign(run_id=[float(i) for i in range(8)], name="x").to_csv(tmp_path / "m.csv")
    runs = Evaluations.read(tmp_path / "r.parquet", metrics=tmp_path / "m.csv")
    np.testing.assert_array_equal(runs.values[:, 0], frame["loss"])


def test_own_files_stay_readable_by_people(tmp_path, frame):
    runs = Evaluations.from_frame(frame, targets=["loss", "f1"])
    plain = pd.read_csv(runs.write(tmp_path / "x.csv"))
    assert plain.columns.tolist() == [
        *("a", "b", "c", "target:lower:loss", "target:higher:f1", "fidelity", "seed", "cost", "origin", "interplay")
    ]
    assert plain["a"].dtype == np.int64
    assert json.loads(plain["interplay"][0])["kind"] == "mask"
    assert plain["interplay"][1:].isna().all()
    assert not list(tmp_path.glob("*.partial"))
    plain["interplay"] = "not ours"
    assert Evaluations.from_frame(plain).targets == ("loss", "f1")


def test_options_hold_for_own_files_too(tmp_path, frame):
    path = Evaluations.from_frame(frame, targets=["loss", "f1"]).write(tmp_path / "x.parquet")
    runs = Evaluations.read(path, targets="f1", ignore=["a"], kind="weights", lower_is_better="f1", fidelity="x")
    assert (runs.targets, runs.tasks, runs.kind, runs.higher_is_better) == (("f1",), ("b", "c"), "weights", (False,))
    assert set(runs.fidelity) == {"x"}


def test_designs_are_written_for_people(tmp_path):
    path = write_masks(tmp_path / "masks.csv", np.eye(2), ["a", "b"])
    assert path.read_text() == "run,a,b\n0,1,0\n1,0,1\n"
    assert write_masks(path, np.full((1, 2), 0.5), ["a", "run"]).read_text() == "a,run\n0.5,0.5\n"
    with pytest.raises(EvaluationsError, match=r"3 tasks"):
        write_masks(path, np.eye(2), ["a", "b", "c"])


def test_to_frame(frame):
    runs = Evaluations.from_frame(frame, targets=["loss", "f1"])
    back = Evaluations.from_frame(runs.to_frame(), targets=["loss", "f1"])
    assert back.equals(runs)


@pytest.mark.parametrize(
    ("keys", "unread"),
    [(("masks", "losses"), "demonstrations"), (("train_masks", "train_losses"), "demonstrations")],
)
def test_archives_with_losses(tmp_path, rng, keys, unread):
    masks, losses = np.array(all_subsets(4)), rng.normal(size=(16, 2))
    path = tmp_path / "runs.npz"
    np.savez(path, **dict(zip(keys, (masks, losses), strict=True)), demonstrations=np.arange(3))
    runs = Evaluations.read(path)
    assert runs.targets == ("loss_0", "loss_1")
    assert runs.higher_is_better == (False, False)
    np.testing.assert_array_equal(runs.values, losses)
    assert runs.warnings[0] == f"runs.npz: {keys[0]} and {keys[1]} are read; {unread} are not"


@recorded
@pytest.mark.parametrize(("name", "K", "T", "m"), [("coin_flip_icl", 50, 869, 200), ("modular_addition", 500, 500, 40)])
def test_recorded_archives(name, K, T, m):
    runs = Evaluations.read(DATA / f"{name}.npz")
    assert (runs.m, runs.K, runs.T, runs.kind) == (m, K, T, "mask")
