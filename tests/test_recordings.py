"""The command line on recordings of others, where they are at hand."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.command_line import refused

DATA = Path(__file__).parents[2] / "shared" / "data"


def needs(*names):
    paths = [DATA / name for name in names]
    if not all(path.exists() for path in paths):
        pytest.skip(f"recordings: {DATA / names[0]} is not there")
    return paths


def test_olmix(shell):
    ratios, metrics = needs("olmix/dclm_ratios.csv", "olmix/dclm_metrics.csv")
    call = ("attribute", ratios, "--metrics", metrics, "--target", "mbpp:*", "--target", "hellaswag*", "--json")
    code, out, err = shell(*call)
    frame = pd.DataFrame(map(json.loads, out.splitlines()))
    assert code == 0
    assert set(frame.target) == {"mbpp:3shot::none", "hellaswag:rc::olmes"}
    assert frame.task.nunique() == 24
    assert set(frame.reading) == {"move"}
    assert "lower is taken as better" in err
    coding = frame[frame.target == "mbpp:3shot::none"].set_index("task").benefit
    assert coding.idxmax() == "software_development"


def test_regmix(shell):
    mixtures, losses = needs("regmix/train_mixture_1m.csv", "regmix/train_pile_loss_1m.csv")
    for source, name in ((mixtures, "m.csv"), (losses, "l.csv")):
        pd.read_csv(source).head(100).to_csv(name, index=False)
    call = ("attribute", "m.csv", "--metrics", "l.csv", "--target", "*github*", "--target", "*arxiv*", "--json")
    code, out, err = shell(*call, "--no-pairs")
    frame = pd.DataFrame(map(json.loads, out.splitlines()))
    assert (code, err) == (0, "")
    best = frame.loc[frame.groupby("target").lower.idxmax()].set_index("target").task
    assert {target.split("pile_")[-1].split("_")[0]: task.split("pile_")[-1] for target, task in best.items()} == {
        "github": "github",
        "arxiv": "arxiv",
    }


def test_valuation(shell):
    (sources,) = needs("valuation/sources_adult.csv")
    pd.read_csv(sources).sample(150, random_state=0).to_csv("s.csv", index=False)
    code, out, _ = shell("attribute", "s.csv")
    assert code == 0
    assert "Attribution of 3 targets to 10 tasks, 150 runs" in out
    assert "Note: taken as targets by their names: 'acc_decision_tree'" in out
    refused(shell("attribute", "s.csv", "--target", "acc_random_forest"), "'acc_decision_tree'", "--ignore")
    code, out, _ = shell("attribute", "s.csv", "--target", "acc_random_forest", "--ignore", "acc_[dg]*")
    assert code == 0
    assert "10 tasks (mask)" in out
    assert "higher is better" in out
