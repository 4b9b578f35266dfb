"""olmix and RegMix: exactly what is taken, what is left and why, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interplay import Evaluations, import_runs
from interplay.evaluations import EvaluationsError
from interplay.formats.imports import olmix
from interplay.formats.imports.counterparts import objective, selection
from tests.test_imports_samples import M, left, put, three_sources

DATA = Path(__file__).parents[2] / "shared" / "data"
recorded = pytest.mark.skipif(not DATA.is_dir(), reason=f"recordings: {DATA} is not there")


@pytest.fixture
def mixed(rng):
    return three_sources(rng)


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
    with pytest.raises(EvaluationsError, match=r"row 1 \(run 'id0'\) sums to"):
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


def test_regmix_takes_a_folder_of_both(proxies):
    both = import_runs("regmix", [proxies / "mixture.csv", proxies / "loss.csv"]).runs
    assert import_runs("regmix", proxies).runs.equals(both)
    (proxies / "loss.csv").rename(proxies / "results.csv")
    with pytest.raises(
        EvaluationsError, match=r"called like mixtures it holds 'mixture\.csv', like losses none\. Give"
    ):
        import_runs("regmix", proxies)


@pytest.mark.parametrize("name", ["wide", "olmix", "regmix"])
def test_one_table_given_twice_is_not_taken_for_two(proxies, name):
    copy = put(pd.read_csv(proxies / "mixture.csv"), proxies / "copy.csv")
    with pytest.raises(EvaluationsError, match=r"mixture\.csv and copy\.csv hold the same table\. Give one of"):
        import_runs(name, [proxies / "mixture.csv", copy])


@recorded
def test_recorded_regmix():
    files = [DATA / "regmix/train_mixture_1m.csv", DATA / "regmix/train_pile_loss_1m.csv"]
    mine, theirs = import_runs("regmix", files).runs, Evaluations.read(files[0], metrics=files[1])
    assert (mine.m, mine.K, mine.T) == (512, 17, 13)
    assert mine.equals(theirs)
