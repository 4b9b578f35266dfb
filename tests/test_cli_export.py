"""`interplay export` as a person meets it: from runs to a trainer's file, the converter alone, refusals."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.main import get_command

from interplay.cli import export as cli_export
from interplay.cli import rules
from interplay.cli.app import app
from interplay.cli.arguments import named
from interplay.formats.exports import FORMATS
from interplay.selection import Selection
from tests.command_line import put, refused
from tests.hostile import NAMES

SOURCES = ["web", "wiki", "code", "books"]


def mixtures(m=30):
    """Ratios and results in two files, and the sources of a trainer."""
    rng = np.random.default_rng(1)
    X = rng.dirichlet(np.ones(4), m)
    ratios = pd.DataFrame(X, columns=SOURCES)
    ratios.insert(0, "run", [f"r{i}" for i in range(m)])
    loss = 2 - np.log(X + 0.05) @ [[0.02, 0.08], [0.06, 0.02], [0.05, 0.05], [0.02, 0.03]]
    results = pd.DataFrame(loss + 0.004 * rng.normal(size=(m, 2)), columns=["bpb/a", "bpb/b"])
    results.insert(0, "run", ratios["run"])
    put(ratios, "ratios.csv")
    put(results, "metrics.csv")
    sizes = {"tokens": [5e9, 4e8, 1e9, 6e8], "examples": [5e6, 4e5, 2e6, 3e5]}
    put(pd.DataFrame({"task": SOURCES, "source": [f"org/{s}" for s in SOURCES], **sizes}), "sources.csv")


def by_hand(**weights):
    put(pd.DataFrame({"task": list(weights), "weight": list(weights.values())}), "mix.csv")


def test_from_runs_to_a_trainer(shell):
    """The two commands of the manual."""
    mixtures()
    runs = ("ratios.csv", "--metrics", "metrics.csv", "--target", "mean(bpb/*)")
    code, _, err = shell("select", *runs, "--out", "choice.json")
    assert (code, err) == (0, "")
    command = (
        "export",
        "choice.json",
        "--to",
        "llama-factory",
        "--out",
        "dataset_mix.yaml",
        "--sources",
        "sources.csv",
    )
    code, shown, err = shell(*command, "--budget", "5e9")
    assert (code, err) == (0, "")
    chosen = Selection.load("choice.json")
    with open("dataset_mix.yaml") as file:
        text = file.read()
    body = yaml.safe_load(text)
    assert body["mix_strategy"] == "interleave_under"
    there = dict(zip(body["dataset"].split(","), map(float, body["interleave_probs"].split(",")), strict=True))
    for task, weight in zip(chosen.tasks, chosen.weights, strict=True):
        assert there.get(f"org/{task}", 0.0) == pytest.approx(weight, abs=1e-6)
    assert "dataset_mix.yaml: LLaMA-Factory, share of the examples drawn" in shown
    assert "does not say what its shares are of" in shown
    assert "# chosen with: interplay select ratios.csv --metrics metrics.csv" in text
    assert "# command: interplay export choice.json --to llama-factory" in text
    assert f"fingerprint {chosen.made['runs']['fingerprint']}" in text
    assert chosen.verdict in text
    code, shown, err = shell(*command, "--unit", "tokens", "--budget", "5e9", "--json")
    rows = [json.loads(line) for line in shown.splitlines()]
    assert "Note: shares of tokens were turned into shares of examples" in err
    weights = dict(zip(chosen.tasks, chosen.weights, strict=True))
    for row in rows:
        assert row["realised"] == pytest.approx(weights[row["task"]], abs=1e-6)
        assert row["read"] == pytest.approx(5e9 * weights[row["task"]], rel=1e-5)
        assert row["epochs"] == pytest.approx(row["read"] / row["available"])


def test_only_the_converter(shell):
    by_hand(web=0.6, code=0.4)
    code, shown, err = shell("export", "mix.csv", "--to", "megatron-lm", "--out", "blend.txt", "--unit", "tokens")
    assert (code, err) == (0, "")
    assert "share of the tokens drawn" in shown
    with open("blend.txt") as file:
        assert file.read() == "0.6 web\n0.4 code\n"
    with open("blend.txt.provenance.json") as file:
        facts = json.load(file)
    assert facts["objective"] == "none: a mixture made by hand (mix.csv)"
    assert facts["command"] == "interplay export mix.csv --to megatron-lm --out blend.txt --unit tokens"


def test_formats_are_listed(shell):
    code, shown, err = shell("export", "--formats")
    assert (code, err) == (0, "")
    lines = shown.splitlines()[2:]
    assert [line.split()[0] for line in lines] == list(FORMATS)
    for line, one in zip(lines, FORMATS.values(), strict=True):
        assert one.weight in line
    code, shown, _ = shell("export", "--help")
    assert code == 0
    assert "--formats" in shown


def test_other_options(shell):
    by_hand(**{"main:web": 0.7, "main:code": 0.2, "anneal:code": 0.1})
    levanter = ("export", "mix.csv", "--to", "levanter", "--out", "mix.yaml")
    assert shell(*levanter, "--phases", "main=0.9,anneal=0.1", "--steps", "100")[0] == 0
    with open("mix.yaml") as file:
        assert [step for step, _ in yaml.safe_load(file)["data"]["train_weights"]] == [0, 90]
    by_hand(a=1.5, b=-0.5)
    merge = ("export", "mix.csv", "--to", "mergekit", "--out", "merge.yaml")
    assert shell(*merge, "--kind", "coefficients", "--base-model", "base", "--merge-method", "ties")[0] == 0
    by_hand(a=1, b=1, c=0)
    assert shell("export", "mix.csv", "--to", "ms-swift", "--out", "mix.yaml", "--equal")[0] == 0
    by_hand(a=0.5, b=0.5)
    assert shell(*merge, "--as-coefficients")[0] == 0
    drawn = ("--stopping", "all_exhausted", "--budget", "1000", "--budget-unit", "examples")
    assert shell("export", "mix.csv", "--to", "ms-swift", "--out", "mix.yaml", *drawn)[0] == 0


def test_refusals(shell):
    by_hand(web=0.6, code=0.4)
    command = ("export", "mix.csv", "--to", "axolotl", "--out", "mix.yaml")
    refused(shell("export"), "CHOICE is not given", "--formats")
    refused(shell("export", "mix.csv", "--out", "mix.yaml"), "--to is not given")
    refused(shell(*command), "--sources: the examples of 'web', 'code' are not known", "no share")
    refused(shell("export", "mix.csv", "--to", "axolotol", "--out", "mix.yaml"), "--to: no format", "'axolotl'")
    refused(shell("export", "mix.csv", "--to", "trl", "--out", "mix.csv"), "--out: mix.csv: the suffix is '.csv'")
    refused(shell("export", "mix.csv", "--to", "trl", "--out", "no/mix.yaml"), "--out: folder 'no' does not exist")
    refused(shell("export", "none.csv", "--to", "trl", "--out", "mix.yaml"), "none.csv")
    refused(
        shell("export", "none.json", "--to", "trl", "--out", "mix.yaml"), "none.json", "interplay select RUNS --out"
    )
    trl = ("export", "mix.csv", "--to", "trl", "--out", "mix.yaml")
    refused(shell(*trl, "--unit", "words"), "--unit is 'words'; choose tokens or examples")
    refused(shell(*trl, "--budget-unit", "words"), "--budget-unit is 'words'")
    refused(shell(*trl, "--sources", "none.csv"), "--sources: file 'none.csv' does not exist")
    refused(shell(*trl, "--merge-method", "ties"), "--merge-method: TRL has no such thing")
    refused(shell(*trl, "--phase", "main"), "--phase: the choice has no phases")
    refused(shell(*trl, "--phases", "main=x"), "main=x")
    by_hand(web=0, code=0)
    refused(shell(*trl), "CHOICE: no task has a weight above 0")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("max_epochs: 0 is none.", "--max-epochs: 0 is none."),
        ("target 'x' is not there.", "--target 'x' is not there."),
        ("budget_unit is 'x'.", "--budget-unit is 'x'."),
        ("kind='mask' has none.", "--kind='mask' has none."),
        ("caps: web is above 1.", "--cap: web is above 1."),
        ("choice: it is empty.", "CHOICE: it is empty."),
        ("targets: none is left.", "targets: none is left."),
        ("budget", "budget"),
        ("runs.csv: target is no task.", "runs.csv: target is no task."),
    ],
)
def test_arguments_are_called_by_their_options(said, told):
    own, others = ("max_epochs", "target", "budget", "budget_unit", "kind"), {"caps": "--cap", "choice": "CHOICE"}
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"), named(own, others):
        raise ValueError(said)


@pytest.mark.parametrize("known", [rules, cli_export])
def test_every_argument_that_is_named_is_an_option(known):
    verb = {rules: "select", cli_export: "export"}[known]
    options = {option for one in get_command(app).commands[verb].params for option in one.opts}
    assert {f"--{name.replace('_', '-')}" for name in known.ARGUMENTS} <= options | {"--verified"}
    assert {name for name in known.OTHERS.values() if name.startswith("--")} <= options


def test_a_choice_on_top_of_its_input(shell):
    mixtures()
    assert (
        shell("select", "ratios.csv", "--metrics", "metrics.csv", "--target", "bpb/a", "--out", "choice.json")[0] == 0
    )
    before = Path("choice.json").read_bytes()
    refused(
        shell("export", "choice.json", "--to", "interleave-datasets", "--out", "choice.json"),
        "--out: choice.json: this would write over choice.json",
    )
    assert Path("choice.json").read_bytes() == before


def test_hostile_names(shell):
    put(pd.DataFrame({"task": [NAMES["escape"], "one\ntwo: x"], "weight": [0.5, 0.5]}), "mix.csv")
    code, shown, err = shell("export", "mix.csv", "--to", "trl", "--out", "mix.yaml")
    assert (code, err) == (0, "")
    assert "\x1b" not in shown
    with open("mix.yaml") as file:
        body = yaml.safe_load(file)
    assert [one["path"] for one in body["datasets"]] == [NAMES["escape"], "one\ntwo: x"]
