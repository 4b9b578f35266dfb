"""Samples of what the programs write whose runs are imported, on which other tests build; options that are not there.

Each writes files into a folder and returns what `import_runs` is given: the files, and further options.
"""

import json

import numpy as np
import pandas as pd
import pytest

from interplay import import_runs
from interplay.evaluations import EvaluationsError

M = 8
TASKS = ("web", "code", "math")
WEB = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.2]
CODE = [0.3, 0.5, 0.2, 0.1, 0.3, 0.2, 0.1, 0.6]
MIXTURES = np.round(np.column_stack([WEB, CODE, 1 - np.add(WEB, CODE)]), 2)
LOSS = [3.0, 2.5, 2.25, 2.0, 2.5, 2.75, 3.5, 2.125]
RUNS = [f"r{i}" for i in range(M)]


def shares(rng, K=3, m=M):
    """Mixtures of K sources."""
    return np.round(rng.dirichlet(np.ones(K), m), 4)


def three_sources(rng):
    """Runs of three sources: their names and shares."""
    weights = shares(rng)
    weights[:, 2] = 1 - weights[:, 0] - weights[:, 1]
    return pd.DataFrame(weights, columns=list(TASKS)).assign(run=RUNS)


def left(imported):
    return {one.what: one.why for one in imported.left}


def put(frame, path, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, **how)
    return path


def script(weights, quote="", before="", after=""):
    """A script of CLIMB, which prints a weight and a path a line."""
    lines = "\n".join(f"{w} /data/{name}" for name, w in weights.items())
    return f"#!/bin/bash\n{before}cat <<{quote}EOF{quote}\n{lines}\nEOF\n{after}"


def harness(values, up=True, model="m"):
    """Results of lm-eval: the accuracy of each task."""
    results = {t: {"alias": t, "acc,none": v, "acc_stderr,none": 0.01} for t, v in values.items()}
    ways = {t: {"acc": up} for t in values}
    held = {"results": results, "configs": {}, "versions": {}, "higher_is_better": ways, "model_name": model}
    return json.dumps(held)


def state(loss):
    """The state of a trainer with evaluations at two steps."""
    history = [{"step": s, "epoch": s / 500, "eval_loss": v} for s, v in ((500, loss + 1), (1000, loss))]
    return json.dumps({"global_step": 1000, "log_history": [*history, {"step": 1000, "train_runtime": 9.0}]})


def mixed(prefix=""):
    return pd.DataFrame(MIXTURES, columns=[prefix + t for t in TASKS])


# ---- samples --------------------------------------------------------------------------------------------------------


def wide(folder):
    return put(mixed().assign(run=RUNS, loss=LOSS), folder / "runs.csv"), {}


def long(folder):
    weights = mixed().assign(run=RUNS).melt(id_vars="run", var_name="source", value_name="share")
    values = pd.DataFrame({"run": RUNS, "metric": "loss", "value": LOSS})
    return [put(weights, folder / "weights.csv"), put(values, folder / "values.csv")], {}


def olmix(folder):
    ids = pd.DataFrame({"run_id": RUNS, "name": [f"swarm-{i}" for i in range(M)], "index": range(M)})
    put(pd.concat([ids, mixed()], axis=1), folder / "ratios.csv")
    put(ids.assign(**{"eval/a_bpb": LOSS}), folder / "metrics.csv")
    fit = "swarm: {ratios: ratios.csv, metrics: metrics.csv}\npriors: {token_counts: {web: 3e9, code: 6e8}}\n"
    (folder / "fit.yaml").write_text(fit + "regression: {type: log_linear}\neval: {tasks: {qa: [eval/a_bpb]}}\n")
    return folder / "fit.yaml", {}


def regmix(folder):
    weights = mixed("train_the_pile_").assign(index=range(M))
    losses = pd.DataFrame({"index": range(M), "metric/the_pile_web_val_loss": LOSS})
    put(weights, folder / "train_mixture_1m.csv")
    put(losses, folder / "train_pile_loss_1m.csv")
    return folder, {}


def climb(folder):
    for i, row in mixed().iterrows():
        place = folder / "mixtures_0" / f"n{i}.sh"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(script(row.to_dict()))
        results = folder / "lm_eval_results_0" / f"n{i}" / "m" / "results_2026-01-01T00-00-00.json"
        results.parent.mkdir(parents=True)
        results.write_text(harness({"arc": LOSS[int(str(i))] / 10}))
    return folder, {}


def admire(folder):
    frame = pd.concat([pd.DataFrame({"model": RUNS}), mixed("ratio_")], axis=1)
    return put(frame.assign(metric_arc_acc=np.divide(LOSS, 10), train_time=2.0), folder / "runs.csv"), {}


def dmsl(folder):
    frame = mixed("weight_").assign(model_size="70m", n_tokens=10**9, web_loss=LOSS)
    return put(frame, folder / "runs.csv"), {}


def marin(folder):
    frame = pd.concat([pd.DataFrame({"run": RUNS}), mixed("phase_0_"), mixed("phase_1_")], axis=1)
    return put(frame.assign(**{"eval/loss": LOSS}), folder / "runs.csv"), {}


def lm_eval(folder):
    for i, run in enumerate(RUNS):
        place = folder / "results" / run / f"org__{run}" / "results_2026-01-01T00-00-00.json"
        place.parent.mkdir(parents=True)
        place.write_text(harness({"arc": LOSS[i] / 10}, model=f"org/{run}"))
    return folder / "results", {"mixtures": put(mixed().assign(run=RUNS), folder / "mixtures.csv")}


def wandb(folder):
    frame = pd.DataFrame({"Name": RUNS, "State": "finished", "Created": "2026-01-01T00:00:00.000Z", "Runtime": 100})
    frame = pd.concat([frame, mixed("data/"), pd.DataFrame({"lr": [0.1] * M, "eval/loss": LOSS})], axis=1)
    return put(frame, folder / "export.csv"), {}


def mlflow(folder):
    frame = pd.DataFrame({"run_id": RUNS, "experiment_id": 1, "status": "FINISHED", "metrics.eval/loss": LOSS})
    return put(pd.concat([frame, mixed("params.data/")], axis=1), folder / "runs.csv"), {}


def optuna(folder):
    frame = pd.DataFrame({"number": range(M), "value": LOSS, "duration": "0 days 00:00:10", "state": "COMPLETE"})
    return put(pd.concat([frame, mixed("params_w_")], axis=1), folder / "trials.csv"), {}


def trainer(folder):
    for i, run in enumerate(RUNS):
        place = folder / "runs" / run / "checkpoint-1000" / "trainer_state.json"
        place.parent.mkdir(parents=True)
        place.write_text(state(LOSS[i]))
    return folder / "runs", {"mixtures": put(mixed().assign(run=RUNS), folder / "mixtures.csv")}


# ---- options -------------------------------------------------------------------------------------------------------


def test_formats_and_options_that_are_not_there(tmp_path):
    with pytest.raises(EvaluationsError, match=r"no format is called 'wid'.*'wide'"):
        import_runs("wid", tmp_path / "x.csv")
    with pytest.raises(EvaluationsError, match=r"no option of import_runs is called 'seeds'.*'seed'"):
        import_runs("wide", tmp_path / "x.csv", seeds="a")
    with pytest.raises(EvaluationsError, match=r"--mixtures.*does not exist"):
        import_runs("wide", tmp_path / "x.csv", mixtures=tmp_path / "none.csv")
