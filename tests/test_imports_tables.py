"""Tables that other programs wrote: exactly what is taken, what is left and why, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import Evaluations, import_runs, phased
from interplay.evaluations import EvaluationsError
from interplay.formats.imports import IMPORTS, Importer, olmix
from interplay.formats.imports.climb import scripts_in, weights_of
from interplay.formats.imports.counterparts import objective, selection
from interplay.formats.imports.draft import Options
from interplay.formats.imports.mixtures import mixtures_of
from tests.hostile import NAMES

DATA = Path(__file__).parents[2] / "shared" / "data"
recorded = pytest.mark.skipif(not DATA.is_dir(), reason=f"recordings: {DATA} is not there")
M = 8


def shares(rng, K=3, m=M):
    return np.round(rng.dirichlet(np.ones(K), m), 4)


@pytest.fixture
def mixed(rng):
    """Runs of three sources: shares, and a loss for each."""
    weights = shares(rng)
    weights[:, 2] = 1 - weights[:, 0] - weights[:, 1]
    return pd.DataFrame(weights, columns=["web", "code", "math"]).assign(run=[f"r{i}" for i in range(M)])


def left(imported):
    return {one.what: one.why for one in imported.left}


def put(frame, path, **how):
    frame.to_csv(path, index=False, **how)
    return path


# ---- the registry ---------------------------------------------------------------------------------------------------


def test_every_format_is_described_in_sentences_and_can_be_imported():
    assert {"wide", "long", "olmix", "regmix", "climb", "admire", "dmsl", "marin"} <= set(IMPORTS)
    for name, one in IMPORTS.items():
        assert isinstance(one, Importer)
        assert callable(one.module.read), name
        for words in (one.title, one.files, one.tasks, one.targets, one.seeds, one.left):
            assert words
            assert words == words.strip().rstrip("."), words


def test_formats_and_options_that_are_not_there(tmp_path):
    with pytest.raises(EvaluationsError, match=r"no format is called 'wid'.*'wide'"):
        import_runs("wid", tmp_path / "x.csv")
    with pytest.raises(EvaluationsError, match=r"no option of import_runs is called 'seeds'.*'seed'"):
        import_runs("wide", tmp_path / "x.csv", seeds="a")
    with pytest.raises(EvaluationsError, match=r"--mixtures.*does not exist"):
        import_runs("wide", tmp_path / "x.csv", mixtures=tmp_path / "none.csv")


# ---- wide -----------------------------------------------------------------------------------------------------------


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


def test_wide_says_what_looks_like_percentages(tmp_path, mixed):
    percent = mixed[["web", "code", "math"]] * 100
    found = import_runs("wide", put(percent.assign(loss=1.0), tmp_path / "runs.csv"))
    assert found.runs.kind == "weights"
    assert found.runs.warnings == (
        "the tasks of every run sum to 100, as percentages do, and are taken as weights; divide them by 100",
    )


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


# ---- long -----------------------------------------------------------------------------------------------------------


def long_tables(mixed):
    weights = mixed.melt(id_vars="run", var_name="source", value_name="share")
    rows = [(f"r{i}", s, "loss", step, i + step / 1000 + s) for i in range(M) for s in (0, 1) for step in (100, 200)]
    return weights, pd.DataFrame(rows, columns=["run", "seed", "metric", "step", "value"])


def test_long_tables(tmp_path, mixed):
    weights, values = long_tables(mixed)
    dropped = weights[~((weights["run"] == "r0") & (weights["source"] == "math"))]
    files = [
        put(dropped.sample(frac=1, random_state=0), tmp_path / "w.csv"),
        put(values.assign(lr=0.1), tmp_path / "v.csv"),
    ]
    found = import_runs("long", files, kind="weights")
    expected = mixed.set_index("run")
    expected.loc["r0", "math"] = 0.0
    runs = found.runs
    assert len(runs) == 2 * M
    for task in runs.tasks:
        column = runs.masks[:, runs.tasks.index(task)]
        np.testing.assert_array_equal(column, expected.loc[runs.origin.tolist(), task])
    np.testing.assert_allclose(runs.values[:, 0], [i + 0.2 + s for i in range(M) for s in (0, 1)])
    assert runs.seed.tolist() == [0, 1] * M
    assert left(found) == {
        f"{2 * M} values of earlier steps": "the last step of each counts; --where step=N takes another",
        "1 weight not stated": "taken as 0",
        "column 'lr'": "a setting that never varies (0.1)",
    }
    early = import_runs("long", files, kind="weights", where={"step": "100"}).runs
    np.testing.assert_allclose(early.values[:, 0], [i + 0.1 + s for i in range(M) for s in (0, 1)])


def test_long_in_one_file(tmp_path, mixed):
    weights, values = long_tables(mixed)
    both = pd.concat([weights, values[values["step"] == 200].drop(columns="step")])
    runs = import_runs("long", put(both, tmp_path / "all.csv")).runs
    np.testing.assert_array_equal(runs.masks[::2, runs.tasks.index("web")], mixed["web"])
    assert runs.targets == ("loss",)


def test_long_with_mixtures_missing_values_and_runs_of_one_side(tmp_path, mixed):
    _, values = long_tables(mixed)
    values = pd.concat([values, values[values["run"] != "r3"].assign(metric="acc")])
    found = import_runs(
        "long", put(values, tmp_path / "v.csv"), mixtures=put(mixed, tmp_path / "m.csv"), missing="skip"
    )
    assert found.runs.targets == ("loss", "acc")
    assert np.isnan(found.runs.values[:, 1]).sum() == 2
    weights, values = long_tables(mixed)
    files = [
        put(weights[weights["run"] != "r1"], tmp_path / "w.csv"),
        put(values[values["run"] != "r2"], tmp_path / "v.csv"),
    ]
    said = left(import_runs("long", files))
    assert said["1 run (r1)"] == "no weight of any source"
    assert said["1 run (r2)"] == "no value of any metric"
    uneven = values[~((values["run"] == "r4") & (values["step"] == 200))]
    found = import_runs("long", [files[0], put(uneven, tmp_path / "v.csv")])
    assert "runs and metrics end at different steps (100 to 200)" in found.runs.warnings


def test_long_refuses(tmp_path, mixed):
    weights, values = long_tables(mixed)
    w, v = put(weights, tmp_path / "w.csv"), put(values, tmp_path / "v.csv")
    with pytest.raises(EvaluationsError, match=r"'loss' of run 'r0' is there twice \(rows 1 and 33\).*'seed'"):
        import_runs("long", [w, put(pd.concat([values, values[:1]]), tmp_path / "v2.csv")])
    with pytest.raises(EvaluationsError, match=r"gives source 'web' of run 'r0' again"):
        import_runs("long", [put(pd.concat([weights, weights[:1]]), tmp_path / "w2.csv"), v])
    with pytest.raises(EvaluationsError, match="no table of run, source and weight is there"):
        import_runs("long", v)
    with pytest.raises(EvaluationsError, match="no table of run, metric and value is there"):
        import_runs("long", w)
    with pytest.raises(EvaluationsError, match="weights or values are given twice"):
        import_runs("long", [v, v], mixtures=put(mixed, tmp_path / "m.csv"))
    with pytest.raises(EvaluationsError, match="no column 'run'"):
        import_runs("long", [w, put(values.rename(columns={"run": "trial"}), tmp_path / "v3.csv")])
    with pytest.raises(EvaluationsError, match="no run has both weights and values"):
        import_runs("long", [w, put(values.assign(run="x" + values["run"]), tmp_path / "v4.csv")])
    with pytest.raises(EvaluationsError, match="names a source and a metric"):
        import_runs("long", put(weights.assign(metric="loss", value=1.0), tmp_path / "both.csv"))
    with pytest.raises(EvaluationsError, match=r"row 1 has no share of 'web'"):
        import_runs("long", [put(weights.assign(share=[None, *weights["share"][1:]]), tmp_path / "w3.csv"), v])
    with pytest.raises(EvaluationsError, match=r"no column of w.csv, v.csv \(--where\) is called 'epoch'"):
        import_runs("long", [w, v], where={"epoch": "1"})
    with pytest.raises(EvaluationsError, match=r"\(--seed\) is called 'sed'"):
        import_runs("long", [w, v], seed="sed")
    with pytest.raises(EvaluationsError, match=r"row 1 has no step"):
        import_runs("long", [w, put(values.assign(step=[None, *values["step"][1:]]), tmp_path / "v5.csv")])
    with pytest.raises(EvaluationsError, match=r"no row has a value"):
        import_runs("long", [w, put(values.assign(value=np.nan), tmp_path / "v6.csv")])
    with pytest.raises(EvaluationsError, match=r"'gpu' \(--cost\) varies within runs"):
        import_runs("long", [w, put(values.assign(gpu=range(len(values))), tmp_path / "v7.csv")], cost="gpu")


def test_long_settings_and_empty_values(tmp_path, mixed):
    weights, values = long_tables(mixed)
    values = values.assign(lr=values["run"].map({f"r{i}": 0.1 * (i % 2) for i in range(M)}), seconds=range(len(values)))
    values.loc[(values["run"] == "r5") | ((values["run"] == "r2") & (values["step"] == 200)), "value"] = np.nan
    found = import_runs("long", [put(weights, tmp_path / "w.csv"), put(values.assign(cost=2.0), tmp_path / "v.csv")])
    runs = found.runs
    assert len(runs) == 2 * M - 2
    assert set(runs.cost) == {2.0}
    np.testing.assert_allclose(runs.values[runs.origin == "r2", 0], [2.1, 3.1])  # the last step that has a value
    said = left(found)
    assert said["6 rows without value"] == "nothing was measured"
    assert said["1 run (r5)"] == "no value of any metric"
    assert said["column 'seconds'"] == "varies within runs"
    assert runs.warnings == (
        "runs and metrics end at different steps (100 to 200)",
        "lr varies between runs (2 values)",
    )


# ---- olmix ----------------------------------------------------------------------------------------------------------

FIT = """
swarm: {ratios: data/ratios.csv, metrics: data/metrics.csv}
priors:
  relative_sizes: {web: 0.75, code: 0.15, math: 0.1}
  token_counts: {web: 3_000_000_000, code: 6e8, math: 400000000}
regression: {type: log_linear}
proposer: {type: exact, kl_reg: 0.05}
constraints: {enabled: true, target_tokens: 1e12, repetition_factor: 4}
filtering:
  drop_metrics: [eval/c_bpb]
  obj_weights: {eval/a_bpb: 7/52, eval/b: 0.5}
  fixed_weight: {web: 0.1}
eval: {type: inloop, tasks: {qa: {a: eval/a_bpb, b: eval/b, c: eval/c_bpb}, other: {z: eval/zzz}}}
"""


@pytest.fixture
def swarm(tmp_path, mixed):
    """ratios.csv, metrics.csv and fit.yaml as olmix has them."""
    folder = tmp_path / "data"
    folder.mkdir()
    ids = pd.DataFrame(
        {"run_id": [f"id{i}" for i in range(M)], "name": [f"swarm-{i:04d}" for i in range(M)], "index": range(M)}
    )
    put(pd.concat([ids, mixed.drop(columns="run")], axis=1), folder / "ratios.csv")
    metrics = {f"eval/{n}": np.arange(M) + k for k, n in enumerate(("a_bpb", "b", "c_bpb", "d_bpb"))}
    put(pd.concat([ids, pd.DataFrame(metrics)], axis=1)[::-1], folder / "metrics.csv")
    (tmp_path / "fit.yaml").write_text(FIT)
    return tmp_path


def test_olmix_tables_and_their_folder(swarm, mixed):
    runs = import_runs("olmix", [swarm / "data/ratios.csv", swarm / "data/metrics.csv"]).runs
    assert import_runs("olmix", swarm / "data").runs.equals(runs)
    assert (runs.tasks, runs.T, runs.kind) == (("web", "code", "math"), 4, "mixture")
    assert not any(runs.higher_is_better)
    assert runs.warnings == ()
    np.testing.assert_array_equal(runs.masks, mixed[["web", "code", "math"]])
    np.testing.assert_array_equal(runs.values[:, 3], np.arange(M) + 3)
    assert runs.origin.tolist() == [f"id{i}" for i in range(M)]


def test_olmix_fit(swarm):
    found = import_runs("olmix", swarm / "fit.yaml")
    runs, fit = found.runs, found.runs.notes["olmix"]
    assert runs.targets == ("eval/a_bpb", "eval/b")
    assert fit["token_counts"] == {"web": 3e9, "code": 6e8, "math": 4e8}
    assert fit["prior"] == {"web": 0.75, "code": 0.15, "math": 0.1}
    assert fit["weights"] == {"eval/a_bpb": 7 / 52, "eval/b": 0.5}
    assert (fit["kl_reg"], fit["target_tokens"], fit["repetition_factor"]) == (0.05, 1e12, 4.0)
    assert left(found) == {
        "regression of the fit": "the surrogate is chosen here by held-out errors",
        "filtering.fixed_weight of the fit": (
            "not taken; state it with `interplay select --floor NAME=SHARE --cap NAME=SHARE`"
        ),
        "metric 'eval/zzz' of eval.tasks": "no column of metrics.csv",
        "column 'eval/c_bpb'": "dropped by filtering.drop_metrics of the fit",
        "column 'eval/d_bpb'": "not among eval.tasks of the fit",
        "column 'name'": "a number or a name of the row",
        "column 'index'": "a number or a name of the row",
    }
    assert olmix.tokens_of(runs.notes, runs.tasks) == {"web": 3e9, "code": 6e8, "math": 4e8}
    assert olmix.prior_of(runs.notes, ("web", "math")) == {"web": 0.75 / 0.85, "math": 0.1 / 0.85}
    named = import_runs("olmix", swarm / "fit.yaml", targets="eval/*", ignore="eval/b", lower_is_better=())
    assert named.runs.targets == ("eval/a_bpb",)
    assert import_runs("olmix", swarm / "fit.yaml", targets="eval/c_bpb").runs.targets == ("eval/c_bpb",)


def test_olmix_counterparts_in_select(swarm):
    runs = import_runs("olmix", swarm / "fit.yaml").runs
    command, said = selection(runs.notes, runs.targets, "my runs.parquet", "tokens.csv", "prior.csv")
    assert command == (
        "interplay select 'my runs.parquet' --target '0.134615*\"eval/a_bpb\" + 0.5*\"eval/b\"' --near prior.csv "
        "--kl NATS --tokens tokens.csv --budget 1e+12 --max-epochs 4"
    )
    assert "kl_reg 0.05" in said[0]
    command, said = selection(runs.notes, runs.targets, "r.csv", None, None)
    assert "--tokens" not in command
    assert [line.split()[0] for line in said] == ["kl_reg", "target_tokens"]
    assert objective({}, ["a", "b"]) == "mean(*)"
    assert objective({"a": 0.0, "z": 1.0}, ["a b"]) == 'mean("a b")'
    assert runs.derive({"objective": objective(runs.notes["olmix"]["weights"], runs.targets)}).T == 3


def test_olmix_tells_what_its_priors_lack(swarm):
    (swarm / "fit.yaml").write_text(FIT.replace("web: 3_000_000_000", "wob: 3e9").replace("math: 0.1}", "math: 0.05}"))
    runs = import_runs("olmix", swarm / "fit.yaml").runs
    assert any("relative_sizes of the fit are not the shares" in w for w in runs.warnings)
    assert any("priors of the fit name wob" in w for w in runs.warnings)
    assert any("do not name web" in w for w in runs.warnings)
    with pytest.raises(EvaluationsError, match="token_counts of the fit lack web"):
        olmix.tokens_of(runs.notes, runs.tasks)
    with pytest.raises(EvaluationsError, match="state no priors"):
        olmix.prior_of({}, runs.tasks)
    with pytest.raises(EvaluationsError, match="give 'a' 0; it must be above 0"):
        olmix.tokens_of({"olmix": {"token_counts": {"a": 0.0}}}, ["a"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("swarm:", "swarms:", "no fit of olmix: it has no 'swarm'"),
        ("data/ratios.csv", "data/none.csv", "does not exist"),
        ("data/ratios.csv", "hf://x/ratios.csv", "address 'hf://x/ratios.csv'. Fetch it"),
        ("ratios: data/ratios.csv", "ratios: 3", "swarm.ratios is '3'"),
        ("kl_reg: 0.05", "kl_reg: much", "proposer.kl_reg is 'much', which is no number"),
        ("7/52", "7/0", "divides by 0"),
        ("{web: 0.75", "{web: 0.75, web: 0.7", "key 'web' twice"),
        (
            "{type: log_linear}",
            "!!python/object/apply:os.system ['touch executed']",
            "no plain YAML.*nothing in it is run",
        ),
        ("{type: log_linear}", "{<<: {a: 1}}", "merges another mapping"),
        ("{type: log_linear}", "[", "is no YAML"),
        ("eval: {type", "eval: [type", "is no YAML"),
        ("tasks: {qa:", "tasks: {qa: 3, qb:", "family 'qa' of eval.tasks is no mapping"),
    ],
)
def test_olmix_refuses(swarm, monkeypatch, old, new, words):
    monkeypatch.chdir(swarm)
    assert old in FIT
    (swarm / "fit.yaml").write_text(FIT.replace(old, new))
    with pytest.raises(EvaluationsError, match=words):
        import_runs("olmix", swarm / "fit.yaml")
    assert not (swarm / "executed").exists()


def test_olmix_refuses_tables_in_the_wrong_order(swarm):
    ratios, metrics = swarm / "data/ratios.csv", swarm / "data/metrics.csv"
    with pytest.raises(EvaluationsError, match=r"metrics.csv: the weights of a run sum to .*ratios first"):
        import_runs("olmix", [metrics, ratios])
    with pytest.raises(EvaluationsError, match=r"give ratios.csv and metrics.csv, the folder"):
        import_runs("olmix", ratios)
    bad = pd.read_csv(ratios).assign(web=lambda f: [0.9, *f["web"][1:]])
    with pytest.raises(EvaluationsError, match="row 1 sums to"):
        import_runs("olmix", [put(bad, swarm / "r.csv"), metrics])
    twice = pd.concat([pd.read_csv(metrics)] * 2)
    with pytest.raises(EvaluationsError, match=r"run_id 'id7' is there twice \(rows 1 and 9\).*'seed'"):
        import_runs("olmix", [ratios, put(twice, swarm / "m.csv")])
    with pytest.raises(EvaluationsError, match="share no column to be joined on"):
        import_runs("olmix", [put(pd.read_csv(ratios).iloc[:, 3:], swarm / "r.csv"), metrics])
    with pytest.raises(EvaluationsError, match="share no run"):
        import_runs("olmix", [put(pd.read_csv(ratios).assign(run_id="x", name="x").iloc[:1], swarm / "r.csv"), metrics])


@recorded
def test_recorded_olmix():
    files = [DATA / "olmix/dclm_ratios.csv", DATA / "olmix/dclm_metrics.csv"]
    mine, theirs = import_runs("olmix", files).runs, Evaluations.read(files[0], metrics=files[1])
    assert (mine.m, mine.K, mine.T) == (127, 24, 110)
    np.testing.assert_array_equal(mine.masks, theirs.masks)
    np.testing.assert_array_equal(mine.values, theirs.values)
    assert (mine.tasks, mine.targets, mine.origin.tolist()) == (theirs.tasks, theirs.targets, theirs.origin.tolist())


# ---- RegMix ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxies(tmp_path, mixed):
    """Mixtures and losses as RegMix has them, and a YAML file for each run."""
    weights = mixed.drop(columns="run").add_prefix("train_the_pile_")
    losses = pd.DataFrame({f"metric/the_pile_{n}_val": np.arange(M) + k for k, n in enumerate(("web", "code"))})
    put(weights.assign(index=range(1, M + 1)), tmp_path / "mixture.csv")
    put(losses.assign(index=range(1, M + 1))[::-1], tmp_path / "loss.csv")
    folder = tmp_path / "config"
    folder.mkdir()
    for i, row in weights.iterrows():
        lines = [f"  {name}: {share!r}" for name, share in row.items() if share]
        (folder / f"n{i + 1}.yaml").write_text("\n".join(["train:", *lines, "valid:", "  x: 1.0", "model_name: tiny"]))
    return tmp_path


def test_regmix(proxies, mixed):
    runs = import_runs("regmix", [proxies / "mixture.csv", proxies / "loss.csv"]).runs
    assert runs.tasks == ("train_the_pile_web", "train_the_pile_code", "train_the_pile_math")
    assert runs.targets == ("metric/the_pile_web_val", "metric/the_pile_code_val")
    assert runs.higher_is_better == (False, False)
    assert runs.warnings == ()
    np.testing.assert_array_equal(runs.masks, mixed[["web", "code", "math"]])
    np.testing.assert_array_equal(runs.values[:, 0], np.arange(M))
    assert runs.origin.tolist() == [str(i) for i in range(1, M + 1)]
    yaml = import_runs("regmix", proxies / "loss.csv", mixtures=proxies / "config").runs
    order = [yaml.origin.tolist().index(name) for name in runs.origin]
    np.testing.assert_allclose(yaml.masks[order], runs.masks, atol=1e-12)
    np.testing.assert_array_equal(yaml.values[order], runs.values)


def test_regmix_refuses(proxies):
    with pytest.raises(EvaluationsError, match=r"loss.csv holds losses. Give the mixtures first"):
        import_runs("regmix", [proxies / "loss.csv", proxies / "mixture.csv"])
    with pytest.raises(EvaluationsError, match=r"is one file.*--mixtures"):
        import_runs("regmix", proxies / "loss.csv")
    (proxies / "config/n3.yaml").unlink()
    with pytest.raises(EvaluationsError, match="config has no mixture for 1 of 8 runs: 'n3'"):
        import_runs("regmix", proxies / "loss.csv", mixtures=proxies / "config")
    (proxies / "config/n3.yaml").write_text("train: {a: !!python/name:os.system }")
    with pytest.raises(EvaluationsError, match="no plain YAML"):
        import_runs("regmix", proxies / "loss.csv", mixtures=proxies / "config")
    (proxies / "config/n3.yaml").write_text("train: {a: half}")
    with pytest.raises(EvaluationsError, match="weight of 'a' in 'n3' is 'half', which is no number"):
        import_runs("regmix", proxies / "loss.csv", mixtures=proxies / "config")


@recorded
def test_recorded_regmix():
    files = [DATA / "regmix/train_mixture_1m.csv", DATA / "regmix/train_pile_loss_1m.csv"]
    mine, theirs = import_runs("regmix", files).runs, Evaluations.read(files[0], metrics=files[1])
    assert (mine.m, mine.K, mine.T) == (512, 17, 13)
    assert mine.equals(theirs)


# ---- CLIMB ----------------------------------------------------------------------------------------------------------


def script(weights, quote="", before=""):
    lines = "\n".join(f"{w} /data/{name}" for name, w in weights.items())
    return f"#!/bin/bash\n{before}cat <<{quote}EOF{quote}\n{lines}\nEOF\n"


def harness(values):
    results = {t: {"alias": t, "acc,none": v, "acc_stderr,none": 0.01} for t, v in values.items()}
    ways = {t: {"acc": True} for t in values}
    return json.dumps({"results": results, "configs": {}, "versions": {}, "higher_is_better": ways, "model_name": "m"})


@pytest.fixture
def iterations(tmp_path, mixed):
    for i, row in mixed.drop(columns="run").iterrows():
        place = tmp_path / "mixtures_0" / f"n{i}.sh"
        place.parent.mkdir(exist_ok=True)
        place.write_text(script({k: repr(v) for k, v in row.items() if k != "math" or i}))
        results = tmp_path / "lm_eval_results_0" / f"n{i}" / "model"
        results.mkdir(parents=True)
        (results / "results_2026-01-01T00-00-00.json").write_text(harness({"arc": i / 10, "piqa": 0.5 + i / 100}))
    return tmp_path


def test_climb_folders(iterations, mixed):
    found = import_runs("climb", [iterations / "mixtures_0", iterations / "lm_eval_results_0"], kind="weights")
    runs = found.runs
    order = [int(name.removeprefix("0/n")) for name in runs.origin]
    assert sorted(order) == list(range(M))
    expected = mixed[["web", "code", "math"]].to_numpy().copy()
    expected[0, 2] = 0.0
    columns = [("web", "code", "math").index(t) for t in runs.tasks]
    np.testing.assert_array_equal(runs.masks, expected[order][:, columns])
    assert runs.targets == ("arc/acc", "piqa/acc")
    assert runs.higher_is_better == (True, True)
    np.testing.assert_allclose(runs.values[:, 0], np.array(order) / 10)
    assert left(found)["1 weight not stated in scripts"] == "taken as 0"
    above = import_runs("climb", iterations, kind="weights").runs
    assert above.equals(runs)
    (iterations / "mixtures_0/n7.sh").unlink()
    assert left(import_runs("climb", iterations, kind="weights"))["1 run (0/n7)"] == "no mixture"


def test_climb_scripts_are_text(tmp_path):
    mark = tmp_path / "executed"
    place = tmp_path / "n1.sh"
    place.write_text(script({"a": 0.25, "b": "7.5e-1"}, before=f"touch {mark}\n$(touch {mark})\n"))
    place.chmod(0o755)
    assert weights_of(place) == {"/data/a": 0.25, "/data/b": 0.75}
    assert scripts_in(tmp_path) == {"n1": {"a": 0.25, "b": 0.75}}
    for body in (f"0.5 $(touch {mark})", "$W /data/a", "`ls` /data/a", "half /data/a", "0.5"):
        place.write_text(f"cat <<EOF\n{body}\nEOF\n")
        with pytest.raises(EvaluationsError, match="no weight and path in plain text; nothing in a script is run"):
            weights_of(place)
    place.write_text("cat <<'EOF'\n0.5 /data/$x\nEOF\n")
    assert weights_of(place) == {"/data/$x": 0.5}
    for text, words in (
        ("echo 0.5 /data/a\n", "one here-document"),
        (script({"a": 1}) * 2, "it has 2"),
        (script({}), "empty"),
        (script({"a": 1}).replace("1 /data/a", "1 /data/a\n0 /data/a"), "'/data/a' twice"),
    ):
        place.write_text(text)
        with pytest.raises(EvaluationsError, match=words):
            weights_of(place)
    assert not mark.exists()


def test_climb_table(tmp_path, mixed):
    frame = pd.DataFrame(
        {"model_benchmark_path": [f"/x/n{i}" for i in range(M)], "arc_easy_acc": 0.5, "valid_avg": np.arange(M)}
    )
    frame = pd.concat([frame, mixed.drop(columns="run")], axis=1)
    runs = import_runs("climb", put(frame, tmp_path / "lm_harness_results.csv")).runs
    assert (runs.tasks, runs.targets) == (("web", "code", "math"), ("arc_easy_acc", "valid_avg"))
    assert runs.higher_is_better == (True, True)
    assert runs.origin[3] == "/x/n3"
    assert import_runs("climb", tmp_path / "lm_harness_results.csv", targets="valid_avg").runs.targets == ("valid_avg",)
    with pytest.raises(EvaluationsError, match=r"is no lm_harness_results.csv"):
        import_runs("climb", put(mixed, tmp_path / "x.csv"))


def test_climb_refuses(iterations):
    with pytest.raises(EvaluationsError, match=r"no mixtures \(n0.sh\) are there"):
        import_runs("climb", iterations / "lm_eval_results_0")
    with pytest.raises(EvaluationsError, match=r"no results .* are there"):
        import_runs("climb", iterations / "mixtures_0")
    (iterations / "lm_eval_results_0").rename(iterations / "lm_eval_results_1")
    with pytest.raises(EvaluationsError, match="none is of both"):
        import_runs("climb", iterations)


# ---- ADMIRE, dmsl, Marin --------------------------------------------------------------------------------------------


def test_admire(tmp_path, mixed):
    frame = mixed.set_index("run").add_prefix("ratio_").rename_axis("model").reset_index()
    frame = frame.assign(metric_arc_acc=np.arange(M) / M, metric_ppl=1.0, train_time=np.arange(M) + 1.0, gpu="h100")
    found = import_runs("admire", put(frame, tmp_path / "a.csv"))
    runs = found.runs
    assert (runs.tasks, runs.targets) == (("web", "code", "math"), ("arc_acc", "ppl"))
    assert runs.higher_is_better == (True, False)
    assert runs.cost.tolist() == [i + 1.0 for i in range(M)]
    assert runs.origin[2] == "r2"
    assert left(found) == {"column 'gpu'": "a setting that never varies (h100)"}
    some = import_runs("admire", tmp_path / "a.csv", targets="arc*", ignore="math", kind="weights")
    assert (some.runs.tasks, some.runs.targets) == (("web", "code"), ("arc_acc",))
    assert left(some)["column 'ratio_math'"] == "left out by --ignore"
    assert left(some)["column 'metric_ppl'"] == "not among --target"


def test_dmsl(tmp_path, mixed):
    frame = mixed.drop(columns="run").add_prefix("weight_")
    frame = frame.assign(model_size=[1, 2] * 4, n_tokens=[10, 10, 20, 20] * 2, web_loss=1.0, code_loss=np.arange(M))
    found = import_runs("dmsl", put(frame, tmp_path / "d.csv"))
    assert (found.runs.tasks, found.runs.targets) == (("web", "code", "math"), ("web_loss", "code_loss"))
    assert found.runs.fidelity.tolist() == ["1", "2"] * 4
    assert found.runs.warnings == ("n_tokens varies between runs (2 values)",)


@pytest.mark.parametrize("name", ["admire", "dmsl", "marin"])
def test_tables_of_prefixes_refuse_others(tmp_path, mixed, name):
    path = put(mixed.assign(x=1), tmp_path / "x.csv")
    with pytest.raises(EvaluationsError, match=r"x.csv has no (column of tasks|mixture of phases)"):
        import_runs(name, path)
    with pytest.raises(EvaluationsError, match="2 files are given"):
        import_runs(name, [path, path])
    if name != "marin":
        prefix = {"admire": "ratio_", "dmsl": "weight_"}[name]
        with pytest.raises(EvaluationsError, match="no column of results"):
            import_runs(name, put(mixed.add_prefix(prefix), tmp_path / "y.csv"))


def test_marin_table(tmp_path, mixed, rng):
    first, second = mixed.drop(columns="run"), mixed.drop(columns="run").iloc[::-1].reset_index(drop=True)
    frame = pd.concat([first.add_prefix("phase_0_"), second.add_prefix("phase_1_")], axis=1)
    frame = frame.assign(run=mixed["run"], trainer_seed=[0, 1] * 4, data_seed=[0, 0, 1, 1] * 2)
    frame = frame.assign(**{"eval/loss": np.arange(M), "eval/uncheatable/bpb": 1.0, "steps": 100})
    found = import_runs("marin", put(frame, tmp_path / "m.csv"))
    runs = found.runs
    assert runs.tasks == tuple(f"phase_{p}:{d}" for p in (0, 1) for d in ("web", "code", "math"))
    assert runs.targets == ("eval/loss", "eval/uncheatable/bpb")
    assert runs.higher_is_better == (False, False)
    assert runs.seed.tolist() == [0, 1, 2, 3] * 2
    assert left(found)["column 'trainer_seed'"] == "their 4 pairs are numbered as seeds, since both vary"
    assert left(found)["column 'steps'"] == "a setting that never varies (100)"
    np.testing.assert_array_equal(runs.masks[:, 3:], second)
    assert phased(runs, {"phase_0": 0.8, "phase_1": 0.2}).kind == "mixture"
    one = import_runs("marin", put(frame.assign(data_seed=7), tmp_path / "m.csv"))
    assert one.runs.seed.tolist() == [0, 1] * 4
    assert left(one)["column 'data_seed'"] == "a seed that never varies"
    named = import_runs("marin", put(frame.assign(data_seed=7), tmp_path / "m.csv"), seed="data_seed")
    assert set(named.runs.seed) == {7}


def test_marin_registry(tmp_path, mixed):
    first = mixed.drop(columns="run").to_dict(orient="records")
    del first[0]["math"]
    rows = {"run_name": mixed["run"], "group": "swarm", "phase0_weights": first, "phase1_weights": [*first[1:], None]}
    frame = pd.DataFrame(rows).assign(grouped_bpb=[{"arc_bpb": float(i), "boolq": 2.0} for i in range(M)])
    frame.to_parquet(tmp_path / "observations.parquet")
    found = import_runs("marin", tmp_path / "observations.parquet", kind="weights")
    runs = found.runs
    assert runs.origin.tolist() == [f"r{i}" for i in range(M - 1)]
    assert runs.targets == ("grouped_bpb/arc_bpb", "grouped_bpb/boolq")
    assert runs.values[:, 0].tolist() == list(range(M - 1))
    assert runs.masks[0, runs.tasks.index("phase_0:math")] == 0.0
    assert left(found) == {
        "phase0_weights: 1 weight not stated": "taken as 0",
        "1 row": "no weights of some phase",
        "column 'group'": "a setting that never varies (swarm)",
    }


# ---- mixtures -------------------------------------------------------------------------------------------------------

RUNS = ["out/r1", "out/r0", "out/r1"]


def mixtures(path, runs=RUNS, **options):
    frame, columns, said = mixtures_of(path, runs, Options(**options))
    return {t: frame[c].tolist() for t, c in columns.items()}, {one.what: one.why for one in said}


def test_mixtures_of_tables_and_documents(tmp_path):
    expected = {"web": [0.25, 1.0, 0.25], "code": [0.75, 0.0, 0.75]}
    wide = pd.DataFrame({"run": ["r0", "r1", "r2"], "web": [1, 0.25, 0], "code": [0, 0.75, 1], "note": "x"})
    found, said = mixtures(put(wide, tmp_path / "m.csv"))
    assert found == expected
    assert said == {"m.csv: note": "text, and no weight", "m.csv: 1 mixture (r2)": "no run has such a name"}
    long = pd.DataFrame({"model": ["r0", "r1", "r1"], "source": ["web", "web", "code"], "share": [1, 0.25, 0.75]})
    assert mixtures(put(long, tmp_path / "l.csv")) == (expected, {"l.csv: 1 weight not stated": "taken as 0"})
    (tmp_path / "m.json").write_text('{"r0": {"web": 1, "code": 0}, "org/r1": {"web": 0.25, "code": 0.75}}')
    assert mixtures(tmp_path / "m.json") == (expected, {})
    (tmp_path / "m.yaml").write_text("r0: {no: 1, on: 0}\nr1: {no: 0.25, on: 0.75}\n")
    found, _ = mixtures(tmp_path / "m.yaml")
    assert found == {"no": [0.25, 1.0, 0.25], "on": [0.75, 0.0, 0.75]}  # keys stay words
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "n0.sh").write_text(script({"web": 1}))
    (folder / "n1.sh").write_text(script({"web": 0.25, "code": 0.75}))
    assert mixtures(folder, ["n1", "n0", "n1"])[0] == expected
    assert mixtures(folder / "n1.sh", ["n1"])[0] == {"/data/web": [0.25], "/data/code": [0.75]}


def test_mixtures_match_names_exactly_first(tmp_path):
    frame = pd.DataFrame({"index": [0, 1], "name": ["a/r1", "b/r1"], "web": [1.0, 0.5], "code": [0.0, 0.5]})
    found, _ = mixtures(put(frame, tmp_path / "m.csv"), ["b/r1", "a/r1"])
    assert found["web"] == [0.5, 1.0]
    with pytest.raises(EvaluationsError, match=r"several mixtures for 1 run, such as 'r1': 'a/r1', 'b/r1'"):
        mixtures(tmp_path / "m.csv", ["r1"])
    with pytest.raises(
        EvaluationsError, match=r"no mixture for 2 of 3 runs: 'x', 'y'. Its mixtures are of 'a/r1', 'b/r1'"
    ):
        mixtures(tmp_path / "m.csv", ["x", "a/r1", "y"])
    assert mixtures(tmp_path / "m.csv", ["1", "0"])[0]["web"] == [0.5, 1.0]
    put(pd.DataFrame({"model": ["org/m-1", "org/m-2"], "a": [0, 1], "b": [1, 0]}), tmp_path / "o.csv")
    assert mixtures(tmp_path / "o.csv", ["org__m-2"])[0] == {"a": [1], "b": [0]}
    found, said = mixtures(tmp_path / "o.csv", ["m-1"], tasks=("a",))
    assert found == {"a": [0]}
    assert said["o.csv: b"] == "not among --tasks"
    found, said = mixtures(tmp_path / "o.csv", ["m-1"], ignore=("a",))
    assert said["o.csv: a"] == "left out by --ignore"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.csv", "run,note\nr0,x\nr1,y\n", "no column of weights"),
        ("m.csv", "source,weight\nweb,1\n", "names no runs"),
        ("m.csv", "run,task,weight\nr0,web,1\nr0,web,0\n", "row 2 gives 'web' of 'r0' again"),
        ("m.csv", "run,task,weight\n,web,1\nr0,web,0\n", "row 1 has no run"),
        ("m.json", '{"r0": {"web": 1}, "r0": {"web": 0}}', "key 'r0' twice"),
        ("m.json", '{"r0": {"web": true}}', "weight of 'web' in 'r0' is 'True'"),
        ("m.json", '{"r0": {"web": 1}', "is no JSON"),
        ("m.json", "[1, 2]", "no mapping"),
        ("m.yaml", "{}", "holds no mixture"),
        ("m.yaml", "", "is empty"),
        ("m.yaml", "a: !!python/object/apply:os.system ['touch executed']", "no plain YAML"),
        ("m.yaml", "a: &a [*a]", "no plain YAML|no YAML|no mapping"),
        ("m.pkl", "x", "pickle"),
        ("m.sh", "rm -rf /", "no mixture of CLIMB"),
    ],
)
def test_mixtures_that_are_refused(tmp_path, monkeypatch, name, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(EvaluationsError, match=words):
        mixtures(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_folders_of_mixtures_that_are_refused(tmp_path):
    with pytest.raises(EvaluationsError, match="holds no mixtures: neither scripts of CLIMB"):
        mixtures(tmp_path)
    (tmp_path / "a.yaml").write_text("r0: {x: 1}")
    (tmp_path / "b.json").write_text('{"r0": {"x": 1}}')
    with pytest.raises(EvaluationsError, match=r"run 'r0' has two mixtures, one in b.json"):
        mixtures(tmp_path)
    with pytest.raises(EvaluationsError, match="no task left"):
        mixtures(tmp_path / "a.yaml", ["r0"], ignore=("x",))


def test_mixtures_are_refused_where_the_files_say_them(swarm, mixed):
    other = put(mixed, swarm / "m.csv")
    admire = put(mixed.set_index("run").add_prefix("ratio_").assign(metric_acc=1.0), swarm / "a.csv")
    table = put(pd.DataFrame({"x": 1, "valid_avg": 1.0, "web": 0.5}, index=range(6)), swarm / "c.csv")
    marin = put(mixed.set_index("run").add_prefix("phase_0_").assign(loss=1.0), swarm / "p.csv")
    for name, files in (("olmix", swarm / "data"), ("admire", admire), ("climb", table), ("marin", marin)):
        with pytest.raises(EvaluationsError, match=r"--mixtures.* says itself .* Leave m\.csv out"):
            import_runs(name, files, mixtures=other)


def test_more_that_is_refused(iterations, mixed):
    copy = iterations / "again" / "mixtures_0"
    copy.mkdir(parents=True)
    (copy / "n0.sh").write_text(script({"web": 1}))
    with pytest.raises(EvaluationsError, match="holds two scripts of one run"):
        import_runs("climb", iterations)
    with pytest.raises(EvaluationsError, match=r"'0/n0' has two mixtures"):
        import_runs("climb", [iterations / "mixtures_0", copy, iterations / "lm_eval_results_0"])
    (copy / "n0.sh").write_bytes(script({"wéb": 1}).encode("latin-1"))
    with pytest.raises(EvaluationsError, match=r"n0\.sh is not text in UTF-8"):
        scripts_in(copy)
    again = iterations / "lm_eval_results_0" / "more" / "lm_eval_results_0" / "n0"
    again.mkdir(parents=True)
    (again / "results_1.json").write_text(harness({"a": 1}))
    with pytest.raises(EvaluationsError, match=r"holds results of '0/n0' twice"):
        import_runs("climb", [iterations / "mixtures_0", iterations / "lm_eval_results_0"])
    place = iterations / "m.yaml"
    place.write_bytes("a: {é: 1}".encode("latin-1"))
    with pytest.raises(EvaluationsError, match="not text in UTF-8"):
        mixtures(place)
    place.write_bytes(b"PAR1")
    with pytest.raises(EvaluationsError, match="table in Parquet"):
        mixtures(place)
    place.write_text('{"a": {"x": 1}, # a comment of YAML\n}')
    assert mixtures(place, ["a"])[0] == {"x": [1.0]}
    place.write_text("? [1]\n: 2")
    with pytest.raises(EvaluationsError, match="a key that is no text"):
        mixtures(place)


# ---- what must hold always ------------------------------------------------------------------------------------------

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
