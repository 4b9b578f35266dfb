"""Every format imports a sample of what its program writes, and what is broken in it is said with a remedy.

One table over all formats: their samples, what is taken of them, and ways to break them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from interplay import import_runs
from interplay.evaluations import EvaluationsError
from interplay.formats.imports import IMPORTS, Importer
from tests import test_imports_samples as samples
from tests.test_imports_samples import LOSS, MIXTURES, TASKS, harness, put, state


def replaced(name, old, new):
    """A file with other text in it."""

    def broken(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return broken


def cell(name, column, value, row=0):
    """A table with another cell."""

    def broken(folder):
        frame = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        frame.loc[row, column] = value
        put(frame, folder / name)

    return broken


def without(name, *columns):
    """A table without some columns."""
    return lambda folder: put(pd.read_csv(folder / name).drop(columns=list(columns)), folder / name)


def written(name, text):
    """A file that holds something else."""
    return lambda folder: (folder / name).write_text(text)


def gone(name):
    return lambda folder: (folder / name).unlink()


def again(name):
    """A table whose first row is there again, with another name of nothing."""
    return lambda folder: put(pd.concat([f := pd.read_csv(folder / name), f.iloc[[0]]]), folder / name)


@dataclass(frozen=True)
class Sample:
    """A format's sample: what builds it and returns what is given, what is taken, and broken variants of it."""

    build: Callable[[Path], tuple[Any, dict[str, Any]]]
    broken: dict[str, tuple[Callable[[Path], Any], str]]
    targets: tuple[str, ...] = ("loss",)
    tasks: tuple[str, ...] = TASKS
    values: list[float] = field(default_factory=lambda: LOSS)


SCORES = [v / 10 for v in LOSS]
STATE = "runs/r2/checkpoint-1000/trainer_state.json"
RESULT = "results/r2/org__r2/results_2026-01-01T00-00-00.json"
SAMPLES = {
    "wide": Sample(
        samples.wide,
        {
            "no result": (without("runs.csv", "loss"), r"does not say which columns are targets.*--target"),
            "text": (
                cell("runs.csv", "code", "half"),
                r"'code' holds 'half' in row 1 among numbers\. Correct it, or leave .* --ignore code",
            ),
            "no sum": (cell("runs.csv", "web", "0.9"), r"row 1 \(run 'r0'\) sums to .* mixtures must sum to one"),
            "a gap": (cell("runs.csv", "web", ""), r"'web' has no value in row 1 \(r0\).*Write 0 where it was out"),
            "thousands": (cell("runs.csv", "math", "1,234"), r"'math' holds '1,234'.*Write numbers as 1234\.5"),
        },
    ),
    "long": Sample(
        samples.long,
        {
            "no run": (without("values.csv", "run"), r"values\.csv has no column 'run' beside metric and value.*--run"),
            "twice": (again("values.csv"), r"'loss' of run 'r0' is there twice \(rows 1 and 9\)\. Keep one"),
            "no weight": (cell("weights.csv", "share", ""), r"row 1 has no share of 'web'\. Give one"),
            "no metric": (without("values.csv", "metric"), r"no table of run, metric and value is there"),
        },
    ),
    "olmix": Sample(
        samples.olmix,
        {
            "no swarm": (replaced("fit.yaml", "swarm:", "swarms:"), r"no fit of olmix: it has no 'swarm'.*Give ratios"),
            "no file": (gone("ratios.csv"), r"ratios\.csv' does not exist\. Check the path"),
            "a table": (written("fit.yaml", "run,web\nr0,1\n"), r"fit\.yaml is no JSON or YAML: it looks like a table"),
            "no sum": (cell("ratios.csv", "web", "0.9"), r"row 1 \(run 'r0'\) sums to .* must sum to one"),
            "twice": (again("metrics.csv"), r"run_id 'r0' is there twice \(rows 1 and 9\)\. Keep one"),
        },
        targets=("eval/a_bpb",),
    ),
    "regmix": Sample(
        samples.regmix,
        {
            "half": (
                gone("train_pile_loss_1m.csv"),
                r"called like mixtures.*, like losses none\. Give the two",
            ),
            "no index": (without("train_mixture_1m.csv", "index"), r"share no column to be joined on.*--run COLUMN"),
            "text": (cell("train_pile_loss_1m.csv", "index", ""), r"row 1 has no index\. Every row needs one"),
            "no sum": (cell("train_mixture_1m.csv", "train_the_pile_web", "2"), r"row 1 \(run '0'\) sums to 2\.9"),
        },
        tasks=tuple(f"train_the_pile_{t}" for t in TASKS),
        targets=("metric/the_pile_web_val_loss",),
    ),
    "climb": Sample(
        samples.climb,
        {
            "filled in": (
                replaced("mixtures_0/n2.sh", "0.3 ", "$W "),
                r"in a script is run\. Write the numbers",
            ),
            "no document": (written("mixtures_0/n2.sh", "echo 1 /data/web\n"), r"one here-document .* it has 0"),
            "disagreement": (
                written("lm_eval_results_0/n2/m/results_2026-01-01T00-00-00.json", harness({"arc": 0.1}, up=False)),
                r"'arc/acc': some files say that higher is better, others that lower is\. Say which",
            ),
            "no results": (
                written("lm_eval_results_0/n2/m/results_2026-01-01T00-00-00.json", "[]"),
                r"n2/m/results.* is no result of lm-eval",
            ),
        },
        targets=("arc/acc",),
        values=SCORES,
    ),
    "admire": Sample(
        samples.admire,
        {
            "no tasks": (
                without("runs.csv", *(f"ratio_{t}" for t in TASKS)),
                r"no column of tasks: ratio_SOURCE and metric_BENCHMARK are expected.*`interplay import wide`",
            ),
            "no results": (without("runs.csv", "metric_arc_acc"), r"no column of results: ratio_SOURCE and metric_"),
            "a gap": (cell("runs.csv", "ratio_web", ""), r"'ratio_web' has no value in row 1 \(r0\).*Write 0"),
            "no sum": (cell("runs.csv", "ratio_web", "0.9"), r"row 1 \(run 'r0'\) sums to .* must sum to one"),
            "twice": (replaced("runs.csv", "ratio_code", "ratio_web"), r"2 columns called 'ratio_web'\. Rename"),
        },
        targets=("arc_acc",),
        values=SCORES,
    ),
    "dmsl": Sample(
        samples.dmsl,
        {
            "no tasks": (
                without("runs.csv", *(f"weight_{t}" for t in TASKS)),
                r"no column of tasks: weight_DOMAIN and DOMAIN_loss are expected",
            ),
            "no results": (without("runs.csv", "web_loss"), r"no column of results: weight_DOMAIN and DOMAIN_loss"),
            "other names": (
                replaced("runs.csv", "weight_web,weight_code,weight_math", "ratio_web,ratio_code,metric_acc"),
                r"It looks like a table of ADMIRE; `interplay import admire` reads it",
            ),
            "a gap": (cell("runs.csv", "weight_web", ""), r"'weight_web' has no value in row 1, .*Write 0 where"),
            "no sum": (cell("runs.csv", "weight_web", "0.9"), r"row 1 sums to .* must sum to one"),
        },
        targets=("web_loss",),
    ),
    "marin": Sample(
        samples.marin,
        {
            "no phases": (
                without("runs.csv", *(f"phase_{p}_{t}" for p in (0, 1) for t in TASKS)),
                r"no mixture of phases: columns phase_0_SOURCE or a map .* are expected",
            ),
            "a gap": (cell("runs.csv", "phase_1_web", ""), r"'phase_1_web' has no value in row 1 \(r0\).*Write 0"),
            "no results": (without("runs.csv", "eval/loss"), r"has no target: .*Name them with --target"),
        },
        tasks=tuple(f"phase_{p}:{t}" for p in (0, 1) for t in TASKS),
        targets=("eval/loss",),
    ),
    "lm-eval": Sample(
        samples.lm_eval,
        {
            "cut off": (
                written(RESULT, '{"results": {"arc"'),
                r"r2/org__r2/results_.*\.json is no JSON.*export it",
            ),
            "other": (
                written(RESULT, '{"log_history": []}'),
                r"r2/org__r2/results_.*; `interplay import trainer`",
            ),
            "no mixture": (replaced("mixtures.csv", "r2", "x2"), r"no mixture for 1 of 8 runs: 'r2'.*Add them"),
            "two models": (
                lambda folder: (folder / RESULT).with_name("results_2.json").write_text(harness({"a": 1}, model="b")),
                r"holds results of 2 models: .* give the folder whose folders are the runs",
            ),
        },
        targets=("arc/acc",),
        values=SCORES,
    ),
    "wandb": Sample(
        samples.wandb,
        {
            "no names": (without("export.csv", "Name"), r"no column Name: it is no table of runs of W&B\. Export the"),
            "no sum": (
                cell("export.csv", "data/web", "0.9", row=3),
                r"'data/\*' sum to one in 7 of 8 runs, but to 1\.5 in run 'r3': correct that run",
            ),
            "text": (cell("export.csv", "eval/loss", "1,5"), r"No numbers: eval/loss \('1,5'\)"),
            "unfinished": (
                lambda folder: put(pd.read_csv(folder / "export.csv").assign(State="crashed"), folder / "export.csv"),
                r"no run left: its state is 'crashed'.*Check --where",
            ),
        },
        tasks=tuple(f"data/{t}" for t in TASKS),
        targets=("eval/loss",),
    ),
    "mlflow": Sample(
        samples.mlflow,
        {
            "a parameter lacks": (
                cell("runs.csv", "params.data/web", "", row=3),
                r"to 0\.6 in run 'r3', where data/web is not stated: correct that run or take it out of the file\.",
            ),
            "decimal comma": (
                cell("runs.csv", "params.data/web", "0,4", row=3),
                r"data/web holds '0,4', and it has a decimal comma: write numbers as 0\.25",
            ),
            "no prefixes": (
                lambda folder: put(pd.read_csv(folder / "runs.csv").iloc[:, :3], folder / "runs.csv"),
                r"no columns params\.\* and metrics\.\*.*Save the frame that mlflow\.search_runs",
            ),
            "no results": (without("runs.csv", "metrics.eval/loss"), r"does not say which results are targets"),
        },
        tasks=tuple(f"data/{t}" for t in TASKS),
        targets=("eval/loss",),
    ),
    "optuna": Sample(
        samples.optuna,
        {
            "no number": (without("trials.csv", "number"), r"no columns number, value and params_\*.*Save the frame"),
            "two headers": (
                replaced("trials.csv", "params_w_web,params_w_code,params_w_math", "params,params,params"),
                r"names of columns in two lines, as trials_dataframe\(multi_index=True\) writes them\. Save",
            ),
            "no sum": (
                cell("trials.csv", "params_w_web", "0.9", row=3),
                r"'w_\*' sum to one in 7 of 8 runs, but to 1",
            ),
            "failed": (
                lambda folder: put(pd.read_csv(folder / "trials.csv").assign(state="FAIL"), folder / "trials.csv"),
                r"no run left: its state is 'FAIL': it has no result",
            ),
        },
        tasks=tuple(f"w_{t}" for t in TASKS),
        targets=("value",),
    ),
    "trainer": Sample(
        samples.trainer,
        {
            "cut off": (written(STATE, '{"log_history": ['), r"runs/r2/checkpoint-1000/trainer_state\.json is no JSON"),
            "no history": (written(STATE, '{"log_history": 3}'), r"r2/checkpoint-1000/.* has no list 'log_history'"),
            "nan": (
                written(STATE, state(float("nan"))),
                r"r2/checkpoint-1000/trainer_state\.json: eval_loss is nan at step 1000: .*--where step=N",
            ),
            "no mixture": (replaced("mixtures.csv", "r2", "x2"), r"no mixture for 1 of 8 runs: 'r2'.*Add them"),
        },
        targets=("eval_loss",),
    ),
}


def test_every_format_is_described_in_sentences_and_has_a_sample_and_three_broken_ones():
    assert {*SAMPLES} == {*IMPORTS}
    for name, one in IMPORTS.items():
        assert isinstance(one, Importer)
        assert callable(one.module.read), name
        assert len(SAMPLES[name].broken) >= 3, name
        for words in (one.title, one.files, one.tasks, one.targets, one.seeds, one.left):
            assert words
            assert words == words.strip().rstrip("."), words


@pytest.mark.parametrize("name", SAMPLES)
def test_each_format_imports_its_sample(tmp_path, name):
    sample = SAMPLES[name]
    files, how = sample.build(tmp_path)
    runs = import_runs(name, files, **how).runs
    assert sorted(runs.tasks) == sorted(sample.tasks)
    assert runs.targets == sample.targets
    several = len(sample.tasks) // len(TASKS)
    expected = dict(zip(sample.tasks, np.hstack([MIXTURES] * several).T, strict=True))
    np.testing.assert_allclose(runs.masks, np.column_stack([expected[t] for t in runs.tasks]), atol=1e-12)
    np.testing.assert_allclose(runs.values[:, 0], sample.values, atol=1e-12)


@pytest.mark.parametrize(("name", "how"), [(name, how) for name, one in SAMPLES.items() for how in one.broken])
def test_each_broken_sample_gets_a_clear_error(tmp_path, name, how):
    files, options = SAMPLES[name].build(tmp_path)
    broken, words = SAMPLES[name].broken[how]
    broken(tmp_path)
    with pytest.raises(EvaluationsError, match=words) as error:
        import_runs(name, files, **options)
    assert len(str(error.value)) < 600
