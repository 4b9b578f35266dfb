"""`interplay select` as a person meets it: both commands of the manual, every rule, verifying, outputs, names."""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interplay import Evaluations
from interplay.cli.select import _others
from interplay.selection import Selection, select
from tests.command_line import put, refused, stored
from tests.hostile import NAMES

TASKS = ["en", "code", "math", "wiki", "books", "toxic"]
W = np.array([0.5, 0.3, 0.2, 0.05, 0.0, -0.3])
SOURCES = ["web", "wiki", "code", "books"]


def runs(m=40, seed=0, tasks=TASKS, targets=1):
    """Masks, and losses that are nearly additive."""
    rng = np.random.default_rng(seed)
    X = (rng.random((m, len(tasks))) < 0.6).astype(int)
    frame = pd.DataFrame(X, columns=tasks)
    frame.insert(0, "run", [f"r{i}" for i in range(m)])
    w = np.resize(W, len(tasks))
    for t in range(targets):
        frame[["loss", "other"][t]] = 2 - X @ (w if t == 0 else w[::-1]) + 0.02 * rng.normal(size=m)
    return frame


def mixtures(m=40):
    """Ratios and results in two files, as published ones are."""
    rng = np.random.default_rng(1)
    X = rng.dirichlet(np.ones(4), m)
    loss = 2 - np.log(X + 0.05) @ [[0.02, 0.08, 0.03], [0.06, 0.02, 0.05], [0.05, 0.05, 0.02], [0.02, 0.03, 0.04]]
    ratios = pd.DataFrame(X, columns=SOURCES)
    ratios.insert(0, "run", [f"r{i}" for i in range(m)])
    results = pd.DataFrame(loss + 0.004 * rng.normal(size=(m, 3)), columns=["bpb/a", "bpb/b", "ppl"])
    results.insert(0, "run", ratios["run"])
    put(ratios, "ratios.csv")
    put(results, "metrics.csv")
    put(pd.DataFrame({"task": SOURCES, "tokens": [5e9, 4e8, 1e9, 6e8]}), "tokens.csv")
    put(pd.DataFrame({"task": SOURCES, "weight": [0.55, 0.15, 0.15, 0.15]}), "prior.csv")


PAIR = ("select", "ratios.csv", "--metrics", "metrics.csv")


def chosen(outcome):
    """The one line of JSON."""
    code, out, err = outcome
    assert code == 0, err
    assert out.count("\n") == 1
    return json.loads(out)


# ---- the two commands of the manual


def test_masks(shell):
    put(runs())
    command = ("select", "runs.csv", "--target", "loss", "--size", "4", "--require", "books", "--forbid", "toxic")
    code, out, err = shell(*command, "--verify", "3")
    assert (code, err) == (0, "")
    assert "runs.csv: 40 runs, 6 tasks (mask)." in out
    assert "Train on 4 of 6: en, code, math, books\nLeave out: wiki, toxic" in out
    assert "Verdict: solid" in out
    assert "To verify: the choice and 2 alternatives\n1  all but wiki, toxic\n" in out
    assert "--masks-out FILE" in out
    line = chosen(shell(*command, "--verify", "2", "--json"))
    assert line["tasks"] == ["en", "code", "math", "books"]
    assert line["verify"][0] == dict.fromkeys(line["tasks"], 1.0)
    assert line["rules"] == ["require books", "forbid toxic", "size 4"]
    assert line["exact"]
    assert line["lower"]["loss"] < line["predicted"]["loss"] < line["upper"]["loss"]
    assert line["baseline"]["name"] == "all tasks"
    assert line["baseline"]["gain_lower"]["loss"] > 0
    assert line["measured"]["loss"] is None or line["runs"] > 0


def test_mixtures(shell):
    mixtures()
    rules = ["--cap", "web=0.5", "--tokens", "tokens.csv", "--max-epochs", "4", "--near", "prior.csv", "--kl", "0.1"]
    found = chosen(shell(*PAIR, "--target", "mean(bpb/*)", *rules, "--json"))
    assert found["objective"] == "lower mean(bpb/*)"
    assert found["baseline"]["name"] == "token-proportional"
    w = np.array([found["weights"].get(name, 0.0) for name in SOURCES])
    assert w.sum() == pytest.approx(1.0)
    assert w[0] <= 0.5 + 1e-6
    assert (w <= 4 * np.array([5e9, 4e8, 1e9, 6e8]) / 7e9 + 1e-6).all()
    prior = np.array([0.55, 0.15, 0.15, 0.15])
    assert (w * np.log(np.maximum(w, 1e-12) / prior)).sum() <= 0.1 + 1e-6
    assert any("wiki at most 4 times" in rule for rule in found["rules"])


def test_it_is_the_library(shell):
    mixtures()
    read = Evaluations.read("ratios.csv", metrics="metrics.csv")
    own = select(read, "0.5*bpb/a + 0.5*ppl", caps={"*": 0.4, "wiki": 0.2}, risk=0.5, beyond=True)
    options = ["--target", "0.5*bpb/a + 0.5*ppl", "--cap", "0.4", "--cap", "wiki=0.2", "--risk", "0.5", "--beyond"]
    line = chosen(shell(*PAIR, *options, "--json"))
    weights = [line["weights"].get(name, 0.0) for name in SOURCES]
    np.testing.assert_allclose(weights, own.weights, atol=1e-9)
    code, _, err = shell(*PAIR, *options, "--out", "choice.json")
    assert (code, err) == (0, "")
    saved = Selection.load("choice.json")
    np.testing.assert_array_equal(saved.weights, own.weights)
    assert saved.made["command"].startswith("interplay select ratios.csv --metrics metrics.csv --target")


# ---- objectives and rules


def test_the_worst_of_several_within_another(shell):
    mixtures()
    line = chosen(shell(*PAIR, "--worst", "bpb/*", "--within", "ppl=0.02", "--json"))
    assert line["objective"] == "make the worst of 2 targets better"
    assert set(line["predicted"]) == {"bpb/a", "bpb/b"}
    plain = chosen(shell(*PAIR, "--target", "bpb/a", "--within", "ppl=0", "--json"))
    assert set(plain["predicted"]) == {"bpb/a"}


def test_the_front_of_several(shell):
    mixtures()
    options = ("--pareto", "bpb/*", "--risk", "0")
    code, out, _ = shell(*PAIR, *options, "--out", "choice.html")
    assert code == 0
    assert "None of these is predicted to be better in all targets" in out
    assert "What one target costs the other" in Path("choice.html").read_text()
    assert shell(*PAIR, *options, "--out", "choice.json")[0] == 0
    front = np.array([c.predicted for c in Selection.load("choice.json").front])
    assert len(front) > 2
    better = (front[:, None] <= front[None] + 1e-9).all(axis=2) & (front[:, None] < front[None] - 1e-6).any(axis=2)
    assert not better.any()


def test_the_front_is_what_is_verified(shell):
    mixtures()
    options = ("--pareto", "bpb/*", "--risk", "0", "--surrogate", "ridge", "--verify", "3", "--masks-out", "check.csv")
    code, out, _ = shell(*PAIR, *options, "--out", "choice.json")
    assert code == 0
    assert "check.csv: the choice and 2 of the front, spread along it, to verify it." in out
    check = pd.read_csv("check.csv")
    assert check["run"].tolist() == ["choice", "front-1", "front-2"]
    saved = Selection.load("choice.json")
    for j in range(2):
        end = min(saved.front, key=lambda c: c.predicted[j]).weights
        assert (np.abs(check[SOURCES].to_numpy() - end).sum(axis=1) < 1e-6).any()
    assert re.fullmatch(r"\d+ of the front, spread along it, \d+ alternatives", _others(saved, 99))


def test_runs_of_one_size_are_compared_with_a_run_as_drawn(shell):
    frame = runs(200)
    put(frame[frame[TASKS].sum(axis=1) == 3])
    base = ("select", "runs.csv", "--target", "loss", "--size", "3", "--json")
    line = chosen(shell(*base))
    assert re.fullmatch(r"a run as drawn \(mean of \d\d runs\)", line["baseline"]["name"])
    assert line["baseline"]["measured"]["loss"] == pytest.approx(frame[frame[TASKS].sum(axis=1) == 3]["loss"].mean())
    assert line["baseline"] == chosen(shell(*base, "--against", "mean"))["baseline"]
    assert chosen(shell(*base, "--against", "all"))["baseline"]["name"] == "all tasks"


def test_derived_targets_and_names_like_expressions(shell):
    mixtures()
    first = chosen(shell(*PAIR, "--derive", "all=mean(bpb/*)", "--target", "all", "--json"))
    second = chosen(shell(*PAIR, "--target", "all=mean(bpb/*)", "--json"))
    assert first["weights"] == second["weights"]
    put(runs().rename(columns={"loss": "loss (final)"}))
    line = chosen(shell("select", "runs.csv", "--target", "loss (final)", "--json"))
    assert set(line["predicted"]) == {"loss (final)"}
    put(runs().rename(columns={"loss": "a + b"}))
    line = chosen(shell("select", "runs.csv", "--target", "a + b", "--json"))
    assert set(line["predicted"]) == {"a + b"}


def test_groups_and_costs(shell):
    put(runs())
    base = ("select", "runs.csv", "--target", "loss", "--json")
    line = chosen(shell(*base, "--at-most", "1:en,code"))
    assert line["rules"] == ["at most 1 of en, code"]
    assert len({"en", "code"} & set(line["tasks"])) == 1
    put(pd.DataFrame({"task": ["en", "code", "math"], "group": ["talk", "hard", "hard"]}), "groups.csv")
    line = chosen(shell(*base, "--groups", "groups.csv", "--at-most", "hard=1"))
    assert len({"code", "math"} & set(line["tasks"])) == 1
    put(pd.DataFrame({"task": TASKS, "cost": [10, 1, 1, 1, 1, 1]}), "costs.csv")
    line = chosen(shell(*base, "--costs", "costs.csv", "--budget", "4"))
    assert "en" not in line["tasks"]
    assert len(line["tasks"]) <= 4
    put(pd.DataFrame({"task": TASKS, "tokens": 1e9, "cost": [10, 1, 1, 1, 1, 1]}), "tokens.csv")
    again = chosen(shell(*base, "--tokens", "tokens.csv", "--budget", "4"))
    assert again["tasks"] == line["tasks"]
    sizes = {text: len(chosen(shell(*base, "--size", text))["tasks"]) for text in ("2", "2-3", "0-2", "6-")}
    assert sizes == {"2": 2, "2-3": 3, "0-2": 2, "6-": 6}
    assert chosen(shell(*base, "--size", "0-2"))["rules"] == ["size 1 to 2"]


def test_floors_candidates_and_baselines(shell):
    mixtures()
    target = ("--target", "bpb/a", "--json")
    line = chosen(shell(*PAIR, *target, "--floor", "books=0.2", "--at-most", "0.5:web,wiki"))
    assert line["weights"]["books"] >= 0.2 - 1e-6
    assert line["weights"].get("web", 0) + line["weights"].get("wiki", 0) <= 0.5 + 1e-6
    given = pd.DataFrame(np.array([[0.7, 0.1, 0.1, 0.1], [0.2, 0.4, 0.2, 0.2]]), columns=SOURCES)
    put(given.assign(name=["x", "y"]), "candidates.csv")
    line = chosen(shell(*PAIR, *target, "--among", "candidates.csv", "--against", "prior.csv"))
    assert line["weights"] in [dict(zip(SOURCES, map(float, row), strict=True)) for row in given.to_numpy()]
    assert line["baseline"]["name"] == "the given one"
    assert chosen(shell(*PAIR, *target, "--against", "mean"))["baseline"]["name"] == "the mean of the runs"


def test_phases(shell):
    rng = np.random.default_rng(3)
    parts = [np.hstack([rng.dirichlet(np.ones(2), 40)]) for _ in range(2)]
    frame = pd.DataFrame(np.hstack(parts), columns=["main:web", "main:code", "anneal:web", "anneal:code"])
    frame["loss"] = 2 - 0.3 * frame["main:code"] - 0.6 * frame["anneal:web"] + 0.01 * rng.normal(size=40)
    put(frame)
    line = chosen(
        shell("select", "runs.csv", "--phases", "main=0.9,anneal=0.1", "--target", "loss", "--beyond", "--json")
    )
    w = line["weights"]
    assert w.get("main:web", 0) + w.get("main:code", 0) == pytest.approx(0.9)
    assert w["anneal:web"] > w.get("anneal:code", 0)


# ---- verifying


def test_masks_to_verify_and_back(shell):
    put(runs())
    command = ("select", "runs.csv", "--target", "loss", "--size", "3")
    code, out, err = shell(*command, "--verify", "4", "--masks-out", "check.csv")
    assert (code, err) == (0, "")
    assert "check.csv: the choice and 3 alternatives, to verify it." in out
    assert "interplay evaluate check.csv" in out
    assert "--verified check.csv" in out
    check = pd.read_csv("check.csv")
    assert check["run"].tolist() == ["choice", "alternative-1", "alternative-2", "alternative-3"]
    assert set(np.unique(check[TASKS])) <= {0, 1}
    best = check.iloc[2]
    check["loss"] = [1.2, 1.2, 0.5, 1.2]
    check.to_csv("check.csv", index=False)
    line = chosen(shell(*command, "--verified", "check.csv", "--json"))
    assert line["tasks"] == [task for task in TASKS if best[task]]
    assert line["measured"]["loss"] == pytest.approx(0.5)
    assert "4 trainings of what was proposed came in." in shell(*command, "--verified", "check.csv")[1]
    refused(shell(*command, "--verify", "4", "--masks-out", "check.csv"), "--masks-out check.csv", "'loss'", "lost")


def test_fewer_alternatives_than_asked_for(shell):
    put(runs())
    code, out, _ = shell("select", "runs.csv", "--target", "loss", "--size", "6", "--verify", "3")
    assert code == 0
    assert "the choice and 0 alternatives (no more than 1 distinct ones are known)" in out


def test_choices_are_trained_by_a_command(shell):
    put(runs())
    Path("train.py").write_text(
        "import json, sys\n"
        "given = json.load(open(sys.argv[1]))\n"
        f"gains = dict(zip({TASKS!r}, {W.tolist()!r}))\n"
        "weights = given['weights']\n"
        "if len(sys.argv) > 3: sys.exit('no')\n"
        "json.dump({'loss': 2 - sum(gains[k] * w for k, w in weights.items())}, open(sys.argv[2], 'w'))\n"
    )
    train = f"{sys.executable} {Path('train.py').resolve()} {{mask_file}} {{result}}"
    command = ("select", "runs.csv", "--target", "loss", "--size", "3", "--verify", "3")
    code, out, _ = shell(*command, "--store", "verified.db", "--command", train)
    assert code == 0
    assert "Train on 3 of 6: en, code, math" in out
    assert "trainings of what was proposed came in." in out
    assert Path("verified.db").exists()
    again = shell(*command, "--store", "verified.db", "--command", train, "--json")
    assert json.loads(again[1])["tasks"] == ["en", "code", "math"]
    code, out, _ = shell(*command, "--command", train + " fail")
    assert code == 1
    assert "nothing is verified" in out
    assert (
        "(the evaluation failed; to try it again: run the same with a store (store=, --store). The failure: the" in out
    )
    assert "the command ended with exit code 1: no)" in out
    with open("train.py", "a") as script:
        script.write("print('changed')\n")
    refusal = shell(*command, "--store", "verified.db", "--command", train)
    refused(refusal, "now. Name another one with --store, or delete", "go on with --accept-changed.")
    assert "--tag" not in refusal[2]
    code, out, _ = shell(*command, "--store", "verified.db", "--command", train, "--accept-changed")
    assert (code, "Train on 3 of 6: en, code, math" in out) == (0, True)


def test_what_conflicts_can_be_stated_as_it_is_said(shell):
    put(runs(targets=2))
    command = ("select", "runs.csv", "--higher-is-better", "other")
    refused(
        shell(*command, "--target", "loss + `other`"), "--target: loss + `other`: its", "(x:up=loss + `other` where"
    )
    assert chosen(shell(*command, "--target", "x:up=loss + `other`", "--json"))["objective"] == "raise x"


def test_commands_that_are_shown_quote_their_files(shell):
    put(runs())
    command = ("select", "runs.csv", "--target", "loss", "--size", "3")
    out = shell(*command, "--verify", "2", "--masks-out", "to check.csv", "--out", "a choice.json")[1]
    assert "--verified 'to check.csv'." in out
    assert "interplay evaluate 'to check.csv' --store" in out
    assert "interplay export 'a choice.json' --to" in out


# ---- outputs


def test_outputs(shell):
    put(runs())
    command = ("select", "runs.csv", "--target", "loss", "--size", "3")
    for name in ("choice.html", "choice.csv", "choice.parquet", "choice.json"):
        code, _, err = shell(*command, "--out", name)
        assert (code, err) == (0, "")
    table = pd.read_csv("choice.csv")
    assert {"choice", "baseline", "best run"} <= set(table["role"])
    assert len(pd.read_parquet("choice.parquet")) == len(table)
    text = Path("choice.html").read_text()
    assert "Choice to lower loss" in text
    assert "interplay select runs.csv" in text
    for bad, words in (
        ("choice.txt", "suffix"),
        ("runs.csv", "write over runs.csv"),
        ("none/x.html", "does not exist"),
    ):
        refused(shell(*command, "--out", bad), "--out", words)


def test_strict_says_by_its_exit_code_what_is_not_supported(shell):
    frame = runs()
    frame["loss"] = np.random.default_rng(0).normal(size=len(frame))
    put(frame)
    code, out, _ = shell("select", "runs.csv", "--target", "loss", "--strict")
    assert code == 3
    assert "Verdict: not supported" in out
    assert shell("select", "runs.csv", "--target", "loss")[0] == 0


# ---- names that mean harm


def test_hostile_names(shell):
    names = list(dict.fromkeys(" ".join(name.split()) or "(blank)" for name in NAMES.values()))
    names = [name.replace("\0", "?") for name in names][:30]
    frame = runs(m=60, tasks=names)
    frame.to_csv("runs.csv", index=False)
    outcome = shell("select", "runs.csv", "--target", "loss", "--size", "28", "--verify", "3")
    assert outcome[0] == 0, outcome[2]
    assert not set(outcome[1]) & {"\x1b", "\x07", "\r", "\u202e"}
    base = ("select", "runs.csv", "--target", "loss", "--size", "28")
    line = chosen(shell(*base, "--json", "--verify", "3", "--masks-out", "check.csv"))
    assert set(line["tasks"]) <= set(names)
    check = pd.read_csv("check.csv")
    assert list(check.columns) == ["run", *names]
    check["loss"] = 1.0
    check.to_csv("check.csv", index=False)
    assert chosen(shell(*base, "--json", "--verified", "check.csv"))["runs"] == 1
    code, _, err = shell(*base, "--out", "choice.csv")
    assert (code, err) == (0, "")
    cells = pd.read_csv(io.StringIO(Path("choice.csv").read_text()))["candidate"].astype(str)
    assert not cells.str.match(r"\s*[=+@-]").any()


def test_tasks_that_are_called_like_columns_of_a_table(shell):
    frame = runs().rename(columns={"en": "task:seed", "code": "task:cost"})
    put(frame.rename(columns={t: f"task:{t}" for t in TASKS[2:]} | {"loss": "target:loss"}))
    base = ("select", "runs.csv", "--size", "3")
    line = chosen(shell(*base, "--json", "--verify", "2", "--masks-out", "check.csv"))
    assert line["tasks"] == ["seed", "cost", "math"]
    check = pd.read_csv("check.csv")
    assert {"task:seed", "task:cost", "math"} <= set(check.columns)
    check.assign(loss=[1.0, 2.0]).to_csv("check.csv", index=False)
    assert chosen(shell(*base, "--json", "--verified", "check.csv"))["tasks"] == ["seed", "cost", "math"]


def test_choices_of_phases_are_verified_and_keep_the_share_of_each(shell):
    """The baseline too: uniform within each phase."""
    rng = np.random.default_rng(0)

    def loss(frame):
        main, anneal = (frame[[f"{p}:{t}" for t in TASKS[:3]]].to_numpy() for p in ("main", "anneal"))
        main, anneal = (part / part.sum(axis=1, keepdims=True) for part in (main, anneal))
        return 2 + ((main - [0.6, 0.3, 0.1]) ** 2).sum(axis=1) + 0.3 * ((anneal - [0.1, 0.2, 0.7]) ** 2).sum(axis=1)

    X = np.hstack([rng.dirichlet(np.ones(3), 40), rng.dirichlet(np.ones(3), 40)])
    frame = pd.DataFrame(X, columns=[f"{p}:{t}" for p in ("main", "anneal") for t in TASKS[:3]])
    put(frame.assign(loss=loss(frame)), "runs.csv")
    command = ("select", "runs.csv", "--target", "loss", "--phases", "main=0.9,anneal=0.1")
    assert shell(*command, "--verify", "3", "--masks-out", "check.csv")[0] == 0
    check = pd.read_csv("check.csv")
    put(check.assign(loss=loss(check)), "check.csv")
    assert shell(*command, "--verified", "check.csv", "--out", "choice.json")[0] == 0
    found = Selection.load("choice.json")
    assert (found.verified, found.verdict, found.choice.runs) == (3, "solid", 1)
    for c in found.candidates:
        np.testing.assert_allclose(c.weights[:3].sum(), 0.9, atol=1e-6)
    (baseline,) = found.of("baseline")
    np.testing.assert_allclose(baseline.weights, [0.3, 0.3, 0.3, 1 / 30, 1 / 30, 1 / 30])
    assert baseline.name == "uniform in each phase"
    tokens = pd.DataFrame({"task": frame.columns, "tokens": 1e9})
    put(tokens, "tokens.csv")
    refused(
        shell(*command, "--tokens", "tokens.csv", "--against", "tokens"), "gives each phase the share of its tokens"
    )
    assert shell(*command, "--tokens", "tokens.csv")[0] == 0


def test_a_store_of_other_tasks_is_refused_without_a_tag(shell):
    put(runs())
    stored("other.db")
    command = ("select", "runs.csv", "--target", "loss", "--size", "3", "--verify", "3", "--at", "small")
    put(runs().assign(fidelity="small"))
    refusal = shell(*command, "--store", "other.db", "--command", "x {mask_file} {result}")
    refused(refusal, "other.db holds runs of fidelity 'retrained'", "name another one with --store.")
    assert "tag=" not in refusal[2]


def test_a_store_of_several_tags_is_no_verification(shell):
    put(runs())
    for tag in ("a", "b"):
        stored("my check.db", tag=tag)
    refusal = shell("select", "runs.csv", "--target", "loss", "--verified", "my check.db")
    refused(refusal, "--verified: ", "2 tags: 'a', 'b'. Write those of one into a file, and give this: ")
    assert refusal[2].endswith("interplay runs 'my check.db' --tag NAME --export FILE\n")
