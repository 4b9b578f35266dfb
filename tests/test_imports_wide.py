"""Wide tables: exactly what is taken, what is left and why, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import Evaluations, import_runs
from interplay.evaluations import EvaluationsError
from interplay.formats.csv import write_masks
from interplay.kinds import PER_CENT
from tests.hostile import NAMES
from tests.test_imports_samples import M, left, put, shares, three_sources


@pytest.fixture
def mixed(rng):
    return three_sources(rng)


def test_wide_takes_and_leaves(tmp_path, mixed):
    frame = mixed.assign(
        seed=range(M),
        loss=np.arange(M) / 4,
        lr=[0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1, 0.4],
        batch_size=64,
        optimiser="adam",
        host=[f"node-{i}" for i in range(M)],
        schedule=["cosine", "linear"] * 4,
        nothing=np.nan,
        runtime=np.linspace(1, 2, M),
    )
    found = import_runs("wide", put(frame, tmp_path / "runs.csv"))
    runs = found.runs
    assert (runs.tasks, runs.targets, runs.kind) == (("web", "code", "math"), ("loss",), "mixture")
    np.testing.assert_array_equal(runs.masks, frame[["web", "code", "math"]])
    np.testing.assert_array_equal(runs.values[:, 0], frame["loss"])
    assert runs.seed.tolist() == list(range(M))
    assert runs.origin.tolist() == [f"r{i}" for i in range(M)]
    assert runs.higher_is_better == (False,)
    assert left(found) == {
        "column 'lr'": "varies between runs and is no task (3 values)",
        "column 'batch_size'": "a setting that never varies (64)",
        "column 'optimiser'": "a setting that never varies (adam)",
        "column 'host'": "text that differs in every run",
        "column 'schedule'": "text, varies between runs and is no task (2 values)",
        "column 'nothing'": "no value in any run",
        "column 'runtime'": "noted of the run, and no setting",
    }
    assert runs.warnings == ("lr varies between runs (3 values)", "schedule varies between runs (2 values)")
    tidy = found.to_frame()
    assert tidy["taken_as"].tolist() == ["task"] * 3 + ["target", "run", "seed"] + [""] * 7
    assert "lr varies between runs" in repr(found)


def test_wide_reads_what_evaluations_read_alike(tmp_path, mixed):
    path = put(mixed.assign(loss=1.5, cost=2.0, fidelity="70m"), tmp_path / "runs.csv")
    mine, theirs = import_runs("wide", path).runs, Evaluations.read(path, targets="loss")
    assert mine.equals(theirs)
    mixed.assign(loss=1.5, cost=2.0, fidelity="70m").to_parquet(tmp_path / "runs.parquet")
    assert import_runs("wide", tmp_path / "runs.parquet").runs.equals(mine)
    packed = put(mixed.assign(loss=1.5, cost=2.0, fidelity="70m"), tmp_path / "runs.csv.gz", compression="gzip")
    assert import_runs("wide", packed).runs.equals(mine)


def test_wide_columns_by_globs_and_options(tmp_path, mixed):
    frame = mixed.rename(columns={c: f"data/{c}" for c in ("web", "code", "math")}).rename(columns={"run": "label"})
    frame = frame.assign(state=["finished"] * 6 + ["crashed"] * 2, size=[1, 2] * 4, gpu=3.5, s=range(M))
    frame = frame.assign(**{"eval/loss": np.arange(M), "eval/acc": np.arange(M), "train/loss": 2.0 * np.arange(M)})
    path = put(frame, tmp_path / "runs.csv")
    how = {"tasks": "data/*", "targets": "eval/*", "ignore": "eval/acc", "run": "label", "seed": "s", "cost": "gpu"}
    found = import_runs("wide", path, **how, fidelity="size", where={"state": "finished"})
    assert found.runs.tasks == ("data/web", "data/code", "data/math")
    assert found.runs.targets == ("eval/loss",)
    assert len(found.runs) == 6
    assert found.runs.origin[5] == "r5"
    assert found.runs.seed.tolist() == list(range(6))
    assert set(found.runs.cost) == {3.5}
    assert found.runs.fidelity.tolist() == ["1", "2"] * 3
    assert left(found) == {
        "2 rows": "state is not finished (--where)",
        "column 'eval/acc'": "left out by --ignore",
        "column 'state'": "a setting that never varies (finished)",
        "column 'train/loss'": "looks like a result that was not asked for",
    }
    word = import_runs("wide", path, **how, fidelity="70m")
    assert set(word.runs.fidelity) == {"70m"}
    assert "size varies between runs (2 values)" in word.runs.warnings
    assert len(import_runs("wide", path, **how, where={"size": "1.0"}, min_runs=2).runs) == 4
    put(frame.assign(done=[True] * 6 + [False] * 2), path)
    assert len(import_runs("wide", path, **how, where={"done": "true"}).runs) == 6


def test_wide_tasks_that_are_called_like_metrics(tmp_path, mixed):
    frame = mixed.rename(columns={"web": "data/reward", "code": "data/loss", "math": "data/f1"}).assign(acc=0.5)
    runs = import_runs("wide", put(frame, tmp_path / "runs.csv"), tasks="data/*").runs
    assert (runs.tasks, runs.targets) == (("data/reward", "data/loss", "data/f1"), ("acc",))


def test_wide_marks_and_masks(tmp_path, rng):
    frame = pd.DataFrame(rng.integers(0, 2, (M, 3)), columns=["a", "b", "task:loss"]).assign(**{"target:higher:u": 1.0})
    frame["dropout"] = 0.3
    found = import_runs("wide", put(frame, tmp_path / "runs.csv"))
    assert (found.runs.tasks, found.runs.targets, found.runs.kind) == (("a", "b", "loss"), ("u",), "mask")
    assert found.runs.higher_is_better == (True,)
    assert left(found) == {"column 'dropout'": "a setting that never varies (0.3)"}


def test_wide_rows_without_values_and_rows_that_are_there_twice(tmp_path, mixed):
    frame = mixed.assign(loss=[1.0, np.nan, *range(6)])
    frame = pd.concat([frame, frame.iloc[[0]]])
    found = import_runs("wide", put(frame, tmp_path / "runs.csv"))
    assert len(found.runs) == M - 1
    assert left(found) == {
        "1 row (r1)": "no value of any target",
        "1 row (r0)": "there twice, cell for cell; taken once",
    }
    partly = mixed.assign(loss=1.0, acc=[np.nan, *range(7)])
    with pytest.raises(EvaluationsError, match=r"1 of 16 values are missing.*--missing skip"):
        import_runs("wide", put(partly, tmp_path / "runs.csv"))
    skipped = import_runs("wide", tmp_path / "runs.csv", missing="skip").runs
    assert np.isnan(skipped.values).sum() == 1


def test_rows_that_are_alike_without_names_are_counted_and_said(tmp_path, mixed):
    frame = mixed.drop(columns="run").assign(loss=np.arange(M) / 4)
    said = "1 row (9) repeats others cell for cell, and no column of names tells whether these are the same runs"
    runs = import_runs("wide", put(pd.concat([frame, frame.iloc[[0]]]), tmp_path / "a.csv")).runs
    assert len(runs) == M + 1
    assert any(w.startswith(said) for w in runs.warnings)
    assert not any("cell for cell" in w for w in import_runs("wide", put(frame, tmp_path / "b.csv")).runs.warnings)


def test_rows_that_are_wrong_are_named_by_their_runs(tmp_path, mixed):
    frame = mixed.assign(loss=1.0, state=["bad"] * 2 + ["ok"] * 6)
    frame.loc[4, "web"] = 0.99
    with pytest.raises(EvaluationsError, match=r"row 3 \(run 'r4'\) sums to"):
        import_runs("wide", put(frame, tmp_path / "a.csv"), where={"state": "ok"}, ignore="state")
    with pytest.raises(EvaluationsError, match=r"1 of 16 values are missing.*target 'acc' in row 2 \(run 'r1'\)"):
        import_runs("wide", put(mixed.assign(loss=1.0, acc=[1, None, *range(6)]), tmp_path / "b.csv"))


def test_a_cell_of_text_among_numbers_is_asked_about(tmp_path, mixed):
    frame = mixed.assign(loss=1.0).astype({"code": object})
    frame.loc[2, "code"] = "none?"
    with pytest.raises(EvaluationsError, match=r"'code' holds 'none\?' in row 3 among numbers\. .*--ignore code"):
        import_runs("wide", put(frame, tmp_path / "a.csv"))
    with pytest.raises(EvaluationsError, match=r"does not say .* It looks like trials of Optuna; `interplay"):
        import_runs("wide", put(mixed.assign(number=1, state="COMPLETE", params_lr=0.1), tmp_path / "b.csv"))


@pytest.mark.parametrize("name", [n for key, n in NAMES.items() if key.startswith(("formula", "hyperlink"))])
def test_names_that_a_spreadsheet_would_run_are_read_back_as_they_are(tmp_path, mixed, name):
    name = name.strip()
    frame = mixed.rename(columns={"web": name}).assign(run=[f"{name} {i}" for i in range(M)], loss=1.0)
    runs = import_runs("wide", put(frame, tmp_path / "a.csv"), tasks=[name, "code", "math"]).runs
    runs.write(tmp_path / "runs.csv")
    again = Evaluations.read(tmp_path / "runs.csv")
    assert again.equals(runs)
    assert again.tasks[0] == name
    assert again.origin.tolist() == [f"{name} {i}" for i in range(M)]
    write_masks(tmp_path / "masks.csv", runs.masks, runs.tasks)
    assert pd.read_csv(tmp_path / "masks.csv").columns.tolist() == ["run", *runs.tasks]


def test_wide_of_two_files_and_of_mixtures(tmp_path, mixed):
    results = pd.DataFrame({"run": mixed["run"], "loss": np.arange(M) / 2, "steps": 100})
    one, two = put(mixed, tmp_path / "mixtures.csv"), put(results[::-1].iloc[1:], tmp_path / "results.csv")
    pair = import_runs("wide", [one, two])
    assert pair.runs.targets == ("loss", "steps")
    assert pair.runs.origin.tolist() == [f"r{i}" for i in range(M - 1)]
    np.testing.assert_array_equal(pair.runs.values[:, 0], np.arange(M - 1) / 2)
    assert left(pair)["1 run (r7)"] == "only in mixtures.csv"
    beside = import_runs("wide", two, mixtures=one)
    assert beside.runs.targets == ("loss",)
    np.testing.assert_array_equal(beside.runs.masks, mixed[["web", "code", "math"]].to_numpy()[:-1][::-1])
    assert left(beside)["mixtures.csv: 1 mixture (r7)"] == "no run has such a name"
    assert left(beside)["column 'steps'"] == "a setting that never varies (100)"


@pytest.mark.parametrize(
    ("changes", "how", "words"),
    [
        ({}, {}, r"does not say which columns are targets.*--target"),
        ({"loss": 1.0, "temperature": np.arange(M) + 0.5}, {}, r"'temperature' cannot be a task.*--ignore temperature"),
        ({"loss": ["1,234.5"] * M}, {"targets": "loss"}, r"'loss' holds '1,234.5' in row 1, and it has a thousands"),
        ({"loss": 1.0, "wiki": ["0,25"] * M}, {}, r"'wiki' holds '0,25', and it has a decimal comma.*--ignore wiki"),
        ({"loss": "high"}, {"targets": "loss"}, r"'loss' holds 'high' in row 1, which is no number"),
        ({"loss": np.nan}, {"targets": "loss"}, r"no row has a value of 'loss'"),
        ({"loss": 1.0}, {"tasks": "data/*"}, r"no task of runs.csv is called 'data/\*'"),
        ({"loss": 1.0}, {"targets": "los"}, r"no target of runs.csv is called 'los'.*'loss'"),
        ({"loss": 1.0}, {"where": {"state": "x"}}, r"no column of runs.csv \(--where\) is called 'state'"),
        ({"loss": 1.0}, {"where": {"run": "x"}}, r"no row has 'x' in column 'run' \(--where\); it holds 'r0'"),
        ({"loss": 1.0}, {"seed": "sed"}, r"no column of runs.csv \(--seed\) is called 'sed'"),
        ({"loss": 1.0}, {"seed": "web"}, r"'web' holds '0.*' in row 1; seeds are whole"),
        ({"loss": 1.0}, {"tasks": ["web", "loss"], "targets": "loss"}, r"'loss' is a task and a target|no task"),
        ({"loss": 1.0}, {"ignore": "los"}, r"no column of runs.csv is called 'los'"),
        ({"loss": 1.0, "interplay": "{}"}, {}, r"was written by interplay. Give it to `interplay attribute`"),
        (
            {"loss": 1.0, "code": [np.nan, *[0.1] * 7]},
            {},
            r"'code' has no value in row 1 \(r0\).*Write 0",
        ),
        ({"loss": 1.0, "code": 7.0}, {"tasks": ["web", "code", "math"], "kind": "mixture"}, r"sums to .* mixtures"),
    ],
)
def test_wide_refuses(tmp_path, mixed, changes, how, words):
    path = put(mixed.assign(**changes), tmp_path / "runs.csv")
    with pytest.raises(EvaluationsError, match=words):
        import_runs("wide", path, **how)


def test_percentages_are_shares(tmp_path, mixed):
    known = mixed[["web", "code", "math"]]
    place = put((known * 100).assign(loss=1.0), tmp_path / "runs.csv")
    for found in (import_runs("wide", place).runs, Evaluations.read(place, targets=["loss"])):
        assert found.kind == "mixture"
        np.testing.assert_allclose(found.masks, known, atol=1e-12)
        assert PER_CENT in found.warnings
        again = Evaluations.read(found.write(tmp_path / "again.parquet"))
        np.testing.assert_array_equal(again.masks, found.masks)
    asked = Evaluations.read(place, targets=["loss"], kind="weights")
    assert asked.kind == "weights"
    assert asked.masks[0].sum() == pytest.approx(100)
    off = put((known * [90, 100, 120]).assign(loss=1.0), tmp_path / "off.csv")
    assert Evaluations.read(off, targets=["loss"]).kind == "weights"


def test_names_of_targets_that_begin_like_a_direction(tmp_path, mixed):
    frame = mixed.assign(**{"higher:loss": 1.0, "lower:acc": 2.0})
    found = import_runs("wide", put(frame, tmp_path / "runs.csv"), targets=["higher:loss", "lower:acc"]).runs
    assert found.targets == ("higher:loss", "lower:acc")
    assert found.higher_is_better == (False, True)


def test_wide_refuses_other_numbers_of_files(tmp_path, mixed):
    path = put(mixed.assign(loss=1.0), tmp_path / "runs.csv")
    with pytest.raises(EvaluationsError, match="3 files are given"):
        import_runs("wide", [path] * 3)
    with pytest.raises(EvaluationsError, match="does not name its runs"):
        import_runs("wide", put(mixed.drop(columns="run").assign(loss=1.0), tmp_path / "x.csv"), mixtures=path)
    with pytest.raises(EvaluationsError, match="at least 5 are needed"):
        import_runs("wide", put(mixed.assign(loss=1.0)[:3], tmp_path / "few.csv"))


def test_hostile_names_are_kept_and_shown_harmless(tmp_path, rng):
    names = list(dict.fromkeys(n.strip() for n in NAMES.values() if n.strip()))
    frame = pd.DataFrame(rng.integers(0, 2, (M, len(names))), columns=[f"w:{n}" for n in names]).assign(loss=1.0)
    frame.to_parquet(tmp_path / "runs.parquet")
    found = import_runs("wide", tmp_path / "runs.parquet", tasks="w:*")
    assert found.runs.tasks == tuple(f"w:{n}" for n in names)
    shown = repr(found)
    assert not any(c in shown for c in "\x1b\x07\u202e\u2028\r\x00")


def test_shares_of_which_one_is_missing_are_said(tmp_path):
    W = np.random.default_rng(0).dirichlet(np.ones(4), 12)
    frame = pd.DataFrame(W[:, :3], columns=["web", "code", "math"]).assign(loss=W @ [1.0, 2.0, 3.0, 4.0])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    runs = import_runs("wide", tmp_path / "runs.csv", targets="loss").runs
    assert any("if they are shares, a source is missing" in w for w in runs.warnings)
    frame.assign(wiki=W[:, 3]).to_csv(tmp_path / "whole.csv", index=False)
    whole = import_runs("wide", tmp_path / "whole.csv", targets="loss").runs
    assert not any("missing" in w for w in whole.warnings)
    index = pd.DataFrame({"index": range(12)})
    pd.concat([index, frame.drop(columns="loss").add_prefix("train_")], axis=1).to_csv(
        tmp_path / "mix.csv", index=False
    )
    pd.concat([index, frame[["loss"]].add_prefix("metric/")], axis=1).to_csv(tmp_path / "loss.csv", index=False)
    with pytest.raises(EvaluationsError, match="sum"):
        import_runs("regmix", [tmp_path / "mix.csv", tmp_path / "loss.csv"])


WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), names=st.lists(WORDS, min_size=2, max_size=4, unique_by=str.casefold))
def test_one_table_in_many_shapes_gives_the_same_runs(tmp_path_factory, seed, names):
    folder, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(seed)
    weights = shares(rng, len(names), 6)
    tasks = [f"w {n}" for n in names]
    wide = pd.DataFrame(weights, columns=tasks).assign(
        run=[f"r{i}" for i in range(6)], loss=np.round(rng.normal(size=6), 3)
    )
    how = {"tasks": "w *", "targets": "loss", "kind": "weights"}
    expected = import_runs("wide", put(wide, folder / "a.csv"), **how).runs
    np.testing.assert_array_equal(expected.masks, weights)
    commas = put(wide, folder / "b.csv", sep=";", decimal=",", encoding="utf-8-sig")
    packed = put(wide, folder / "c.tsv.gz", sep="\t", compression="gzip")
    mixed_up = put(wide[rng.permutation(list(wide.columns))], folder / "d.csv")
    for path in (commas, packed, mixed_up):
        other = import_runs("wide", path, **how).runs
        columns = [other.tasks.index(t) for t in expected.tasks]
        np.testing.assert_array_equal(other.masks[:, columns], expected.masks)
        np.testing.assert_array_equal(other.values, expected.values)
    long = wide.melt(id_vars="run", value_vars=tasks, var_name="source", value_name="weight")
    long = long[long["weight"] > 0].sample(frac=1, random_state=seed % 1000)
    values = wide[["run", "loss"]].rename(columns={"loss": "value"}).assign(metric="loss")
    files = [put(long, folder / "e.csv"), put(values, folder / "f.csv")]
    other = import_runs("long", files, kind="weights").runs
    for k, task in enumerate(expected.tasks):
        column = other.masks[:, other.tasks.index(task)] if task in other.tasks else np.zeros(6)
        np.testing.assert_array_equal(column, expected.masks[:, k])
    np.testing.assert_array_equal(other.values, expected.values)
