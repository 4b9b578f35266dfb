"""The verb `import`: the account that it prints, what it writes, and how it refuses."""

import json

import numpy as np
import pandas as pd
import pytest

from interplay import Evaluations
from tests.command_line import refused, table
from tests.hostile import TASKS


def lines(out):
    return out.splitlines()


def test_formats_are_listed_one_a_line(shell):
    code, out, err = shell("import", "--formats")
    assert (code, err) == (0, "")
    names = [line.split()[0] for line in lines(out)]
    assert {"wide", "long", "olmix", "regmix", "climb", "admire", "dmsl", "marin"} <= set(names)
    assert all(": " in line for line in lines(out))


def test_runs_are_written_and_go_into_attribute(shell, tmp_path):
    table(kind="mixture").assign(lr=[0.1, 0.2] * 12, note="x", acc=0.5).to_csv("sweep.csv", index=False)
    code, out, _ = shell("import", "wide", "sweep.csv", "--target", "loss", "--out", "runs.parquet")
    assert code == 0
    assert lines(out) == [
        "sweep.csv (wide): 24 runs of mixtures.",
        "Tasks, 5: a, b, c, d, e",
        "Target, 1: loss ↓",
        "Runs: named by run; no seeds.",
        "Left:",
        "  column 'lr': varies between runs and is no task (2 values)",
        "  column 'note': a setting that never varies (x)",
        "  column 'acc': looks like a result that was not asked for",
        "Note: lr varies between runs (2 values)",
        "Next: interplay attribute runs.parquet",
    ]
    assert Evaluations.read("runs.parquet").warnings == ("lr varies between runs (2 values)",)
    code, out, _ = shell("attribute", "runs.parquet")
    assert code == 0
    assert "runs.parquet: 24 runs, 5 tasks (mixture)." in out
    assert "lr varies between runs (2 values)" in out


def test_without_out_there_is_only_the_account(shell, tmp_path):
    table().to_csv("sweep.csv", index=False)
    code, out, _ = shell("import", "wide", "sweep.csv")
    assert code == 0
    assert lines(out)[-1] == "Nothing is written; say --out runs.parquet."
    assert [p.name for p in tmp_path.iterdir()] == ["sweep.csv"]


def test_account_as_json(shell):
    table().assign(lr=[0.1, 0.2] * 12).to_csv("sweep.csv", index=False)
    code, out, err = shell("import", "wide", "sweep.csv", "--target", "loss", "--json")
    assert code == 0
    found = [json.loads(line) for line in lines(out)]
    assert found[0] == {"found": "a", "taken_as": "task", "name": "a", "why": ""}
    assert found[-1] == {
        "found": "column 'lr'",
        "taken_as": "",
        "name": "",
        "why": "varies between runs and is no task (2 values)",
    }
    assert err == "Note: lr varies between runs (2 values)\n"


def test_every_option_reaches_the_table(shell):
    frame = table().rename(columns={t: f"w/{t}" for t in "abcde"}).rename(columns={"run": "label", "loss": "score"})
    frame = frame.assign(state=["ok"] * 20 + ["bad"] * 4, s=range(24), hours=2.0, size="70m", other=1.5)
    frame.loc[3, "score"] = np.nan
    frame = frame.assign(second=1.0)
    frame.to_csv("sweep.csv", index=False)
    words = ("--tasks", "w/*", "--target", "score", "--target", "second", "--ignore", "other", "--run", "label")
    words += ("--seed", "s", "--cost", "hours", "--fidelity", "size", "--where", "state=ok", "--kind", "weights")
    words += ("--lower-is-better", "score", "--higher-is-better", "second", "--missing", "skip", "--out", "runs.csv")
    code, out, err = shell("import", "wide", "sweep.csv", *words)
    assert code == 0, err
    runs = Evaluations.read("runs.csv")
    assert (len(runs), runs.kind, runs.targets) == (20, "weights", ("score", "second"))
    assert runs.higher_is_better == (False, True)
    assert (runs.origin[1], runs.seed[1], runs.cost[1], runs.fidelity[1]) == ("r1", 1, 2.0, "70m")
    assert "Runs: named by label; 20 seeds from s; cost from hours; fidelity from size: 70m." in out
    assert "4 rows: state is not ok (--where)" in out


def test_mixtures_are_looked_up(shell):
    frame = table(kind="mixture")
    frame.drop(columns="loss").to_csv("mixtures.csv", index=False)
    frame[["run", "loss"]].to_csv("results.csv", index=False)
    code, _, _ = shell("import", "wide", "results.csv", "--mixtures", "mixtures.csv", "--out", "runs.npz")
    assert code == 0
    np.testing.assert_array_equal(Evaluations.read("runs.npz").masks, frame[list("abcde")])


def fit(tmp_path, tokens="token_counts: {web: 3e9, code: 1e9}"):
    m = 8
    weights = np.linspace(0.1, 0.9, m)
    pd.DataFrame({"run": range(m), "web": weights, "code": 1 - weights}).to_csv(tmp_path / "ratios.csv", index=False)
    pd.DataFrame({"run": range(m), "bpb": 2 - weights + weights**2}).to_csv(tmp_path / "metrics.csv", index=False)
    (tmp_path / "fit.yaml").write_text(
        "swarm: {ratios: ratios.csv, metrics: metrics.csv}\n"
        f"priors: {{{tokens}}}\n"
        "proposer: {kl_reg: 0.1}\n"
        "constraints: {enabled: true, target_tokens: 2e9, repetition_factor: 4}\n"
    )


def test_fits_of_olmix_go_into_select(shell, tmp_path):
    fit(tmp_path)
    words = ("--tokens-out", "tokens.csv", "--prior-out", "prior.csv", "--out", "runs.parquet")
    code, out, _ = shell("import", "olmix", "fit.yaml", *words)
    assert code == 0
    assert (tmp_path / "tokens.csv").read_text() == "task,tokens\nweb,3000000000\ncode,1000000000\n"
    assert (tmp_path / "prior.csv").read_text() == "task,weight\nweb,0.75\ncode,0.25\n"
    asked = next(line for line in lines(out) if line.startswith("As the fit asks: "))
    assert asked.removeprefix("As the fit asks: ") == (
        "interplay select runs.parquet --target 'mean(\"bpb\")' --near prior.csv --kl NATS --tokens tokens.csv "
        "--budget 2e+09 --max-epochs 4"
    )
    assert "kl_reg 0.1" in out
    words = ("--target", 'mean("bpb")', "--near", "prior.csv", "--kl", "0.5", "--tokens", "tokens.csv")
    code, out, err = shell("select", "runs.parquet", *words, "--budget", "2e+09", "--max-epochs", "4")
    assert code == 0, err


def test_fits_without_counts_are_refused_before_anything_is_written(shell, tmp_path):
    fit(tmp_path, "relative_sizes: {web: 3, code: 1}")
    words = ("--out", "runs.parquet", "--prior-out", "prior.csv")
    refused(
        shell("import", "olmix", "fit.yaml", *words, "--tokens-out", "t.csv"), "--tokens-out: the files state no token"
    )
    assert not (tmp_path / "runs.parquet").exists()
    assert shell("import", "olmix", "fit.yaml", *words)[0] == 0
    assert (tmp_path / "prior.csv").read_text() == "task,weight\nweb,0.75\ncode,0.25\n"
    refused(shell("import", "olmix", "fit.yaml", "--prior-out", "ratios.txt"), "--prior-out", ".csv")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("import",), ("interplay import FORMAT FILES", "wide", "--formats")),
        (("import", "wide"), ("interplay import FORMAT FILES",)),
        (("import", "wid", "sweep.csv"), ("no format is called 'wid'", "'wide'")),
        (("import", "wide", "none.csv"), ("'none.csv' does not exist",)),
        (("import", "wide", "."), ("is a folder",)),
        (("import", "wide", "sweep.csv", "--out", "runs.txt"), ("--out runs.txt", ".parquet")),
        (("import", "wide", "sweep.csv", "--out", "sweep.csv"), ("would write over sweep.csv",)),
        (("import", "wide", "sweep.csv", "--out", "x/runs.csv"), ("folder 'x' does not exist",)),
        (("import", "wide", "sweep.csv", "--out", "a.csv", "--prior-out", "a.csv"), ("would write over a.csv",)),
        (("import", "wide", "sweep.csv", "--mixtures", "m.csv"), ("--mixtures", "'m.csv' does not exist")),
        (("import", "wide", "sweep.csv", "--where", "state"), ("--where state: write COLUMN=VALUE",)),
        (("import", "wide", "sweep.csv", "--where", "a=1", "--where", "a=0"), ("'a' is to be '1' and '0'",)),
        (("import", "wide", "sweep.csv", "--target", "los"), ("no target of sweep.csv is called 'los'", "'loss'")),
        (("import", "wide", "sweep.csv", "--missing", "no"), ("missing is 'no'",)),
        (("import", "wide", "sweep.csv", "--kind", "no"), ("kind is 'no'", "mixture")),
        (("import", "olmix", "sweep.csv"), ("give ratios.csv and metrics.csv",)),
    ],
)
def test_refusals(shell, words, said):
    table().to_csv("sweep.csv", index=False)
    refused(shell(*words), *said)


def test_hostile_names_do_nothing_to_the_terminal(shell, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 2, (8, len(TASKS))), columns=[f"w {t}" for t in TASKS])
    frame["x\x1b[31m\u202e"] = ["\x1b[0m", "b"] * 4
    frame.assign(loss=1.0).to_parquet("odd\x1b[31m.parquet")
    code, out, err = shell("import", "wide", "odd\x1b[31m.parquet", "--tasks", "w *", "--out", "runs.parquet")
    assert code == 0, err
    assert not any(c in out + err for c in "\x1b\x07\u202e\u2028\r\x00")
    assert len(TASKS) == Evaluations.read("runs.parquet").K
    outcome = shell("import", "wide", "odd\x1b[31m.parquet", "--tasks", "w *", "--seed", "x\x1b[31m\u202e")
    refused(outcome, "x?[31m?")
