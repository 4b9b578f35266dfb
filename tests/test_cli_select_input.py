"""Bad input of `interplay select`: what is wrong is said in one line, with the option and the remedy."""

import numpy as np
import pandas as pd
import pytest

from tests.command_line import put, refused
from tests.test_cli_select import PAIR, SOURCES, TASKS, chosen, mixtures, runs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        # a size larger than there are tasks, and other sizes that are none
        ("--size 7", ["--size is 7", "there are 6 tasks"]),
        ("--size 8-9", ["--size", "6 tasks"]),
        ("--size 4-2", ["--size 4-2", "such as 2-4"]),
        ("--size many", ["--size many", "such as 8, or MIN-MAX"]),
        ("--size -", ["--size -"]),
        ("--size 0", ["--size is 0; a choice holds at least one"]),
        ("--size -3", ["--size -3", "MIN-MAX", "1-9 is at most 9"]),
        ("--size 0-0", ["--size is 0"]),
        # required and forbidden at once
        ("--require en --forbid en", ["en is required and forbidden at once"]),
        ("--require * --forbid toxic", ["toxic is required and forbidden at once"]),
        ("--require en --require code --size 1", ["require en; require code; size 1", "Loosen"]),
        # a budget below the cheapest set
        ("--costs costs.csv --budget 0.5", ["costs within 0.5", "the cheapest task costs 1"]),
        ("--costs costs.csv --budget 2 --size 3", ["size 3; costs within 2", "which costs 3", "(--budget)"]),
        ("--costs costs.csv", ["--costs", "--budget"]),
        ("--budget 3", ["--budget", "--costs"]),
        ("--costs costs.csv --budget 0", ["--budget is 0.0", "above zero"]),
        ("--costs short.csv --budget 3", ["--costs", "short.csv has no cost of toxic"]),
        ("--costs twice.csv --budget 3", ["--costs", "row 2 gives task 'en' again"]),
        ("--costs minus.csv --budget 3", ["--costs", "row 1 has cost -1 of 'en'"]),
        ("--costs groups.csv --budget 3", ["--costs", "no column 'cost'"]),
        # unknown names, with the nearest
        ("--require matth", ["--require", "no task is called 'matth'", "'math'"]),
        ("--forbid toxik", ["--forbid", "'toxik'", "'toxic'"]),
        ("--at-most 1:en,kode", ["--at-most", "'kode'", "'code'"]),
        (
            "--target los",
            ["--target: no target of runs.csv is called 'los'. It has 7 columns that may be one, such as"],
        ),
        ("--target x=", ["--target x=: 'x' defines nothing. Write NAME=EXPRESSION"]),
        ("--target avg(loss)", ["--target avg(loss): 'avg' is no function; there are mean"]),
        ("--target loss+los", ["--target: no target of runs.csv is called 'los'"]),
        ("--target mean(loss,los)", ["--target: no target of runs.csv is called 'los'"]),
        ("--within accuracy=0.1", ["--within: no target of runs.csv is called 'accuracy'"]),
        ("--worst eval/*", ["--worst: no target of runs.csv is called 'eval/*'"]),
        ("--costs unknown.csv --budget 3", ["--costs", "row 1", "'english'"]),
        # groups
        ("--at-most 0.5:en,code", ["--at-most 'en, code' is 0.5; give a whole number >= 0"]),
        ("--at-most hard=1", ["--at-most hard=1", "--groups"]),
        ("--at-most hart=1 --groups groups.csv", ["--at-most hart=1", "'hart'", "'hard'"]),
        ("--groups groups.csv", ["--groups", "--at-most"]),
        ("--at-most hard", ["--at-most hard", "N:NAME,NAME"]),
        ("--at-most 2:", ["--at-most 2:", "names no task"]),
        # objectives
        ("--target loss --target en", ["--target: loss and en are given", "mean(a, b)", "--worst"]),
        ("--target loss --worst loss", ["target", "worst", "pareto"]),
        ("--target mean(loss", ["--target mean(loss"]),
        ("--target loss --within loss=0.1", ["--within", "'loss' is what is to be made better"]),
        ("--target loss --within loss", ["--within loss", "NAME=NUMBER"]),
        # rules for mixtures, and numbers that are none
        ("--cap 0.5", ["--cap is for mixtures, and the runs are masks"]),
        ("--near runs.csv", ["--near"]),
        ("--near one.csv --kl 0.1", ["--near is for mixtures, and the runs are masks"]),
        ("--kl 0.1", ["--kl is for mixtures, and the runs are masks"]),
        ("--cap en=much", ["--cap en=much", "NAME=NUMBER"]),
        ("--cap en=0.1 --cap en=0.2", ["--cap", "'en' has 0.1 and 0.2"]),
        ("--cap 0.1 --cap 0.2", ["--cap", "0.1 and 0.2"]),
        ("--risk -1", ["--risk is -1.0", ">= 0"]),
        ("--risk nan", ["--risk is nan"]),
        ("--max-epochs 2", ["--max-epochs"]),
        ("--against uniform", ["--against", "'uniform'", "all"]),
        ("--against nothing", ["--against", "'nothing' is none of all, uniform, tokens and mean, and no file"]),
        ("--against none.csv", ["--against", "'none.csv' does not exist"]),
        ("--among none.csv", ["--among", "'none.csv' does not exist"]),
        ("--among costs.csv", ["--among", "costs.csv has no column"]),
        ("--surrogate gp", ["'gp'"]),
        ("--at 1b", ["'1b'"]),
    ],
)
def test_bad_input(shell, options, words):
    put(runs())
    put(pd.DataFrame({"task": TASKS, "cost": 1}), "costs.csv")
    put(pd.DataFrame({"task": TASKS[:-1], "cost": 1}), "short.csv")
    put(pd.DataFrame({"task": ["en", *TASKS], "cost": 1}), "twice.csv")
    put(pd.DataFrame({"task": TASKS, "cost": -1}), "minus.csv")
    put(pd.DataFrame({"task": ["english"], "cost": 1}), "unknown.csv")
    put(pd.DataFrame([[1] * len(TASKS)], columns=TASKS), "one.csv")
    put(pd.DataFrame({"task": ["code", "math"], "group": "hard"}), "groups.csv")
    given = options.split()
    target = () if "--target" in given or "--worst" in given else ("--target", "loss")
    refused(shell("select", "runs.csv", *target, *given), *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        # caps that sum below one, floors above it, and both at odds
        ("--cap 0.2", ["cap every task=0.2. Together they leave a share of 0.8, and shares sum to 1. Loosen"]),
        ("--cap web=0.1 --cap wiki=0.2 --cap code=0.1 --cap books=0.3", ["cap web=0.1", "cap books=0.3"]),
        ("--floor 0.3", ["floor every task=0.3. Together they need a share of 1.2, and shares sum to 1"]),
        ("--at-most 2:web,code", ["--at-most 'web, code' is 2.0; give a share between 0 and 1"]),
        ("--cap web=0.1 --floor web=0.2", ["cap web=0.1", "floor web=0.2"]),
        ("--cap web=1.2", ["--cap", "web=1.2", "between 0 and 1"]),
        ("--floor web=-0.2", ["--floor", "web=-0.2"]),
        ("--cap webb=0.2", ["--cap", "'webb'", "'web'"]),
        # a prior with a zero where a run has weight
        ("--near minus.csv --kl 0.1", ["--near"]),
        ("--near zero.csv --kl 0.1", ["--near gives no weight to books", "forbid it"]),
        ("--near candidates.csv", ["--near", "holds 2 rows", "a mixture to stay near to is one"]),
        ("--near none.csv", ["--near", "'none.csv' does not exist"]),
        ("--near prior.csv --kl 0.001 --cap web=0.2", ["0.001 nats", "Raise kl"]),
        ("--kl 0.1", ["--kl", "--near"]),
        ("--near prior.csv", ["--near is a mixture to stay near to", "(--kl)"]),
        ("--near prior.csv --kl -1", ["--kl is -1.0", ">= 0"]),
        ("--max-epochs 2", ["--max-epochs", "--tokens"]),
        ("--budget 1e9", ["--budget is 1000000000.0", "(--max-epochs)"]),
        ("--tokens tokens.csv --budget 1e9", ["--budget is 1000000000.0", "(--max-epochs)"]),
        (
            "--max-epochs 0.5 --tokens tokens.csv",
            ["at most 0.5 times", "(--budget) of 3.5e+09", "(--max-epochs) of 1."],
        ),
        ("--tokens none.csv", ["--tokens", "'none.csv' does not exist"]),
        ("--against tokens", ["--against", "--tokens"]),
        ("--size 3", ["--size is for masks, and the runs are mixtures"]),
        ("--require web", ["--require is for masks"]),
        # which target, and targets whose directions differ
        ("", ["3 targets", "--target", "--worst"]),
        ("--target bpb/*", ["--target", "bpb/*"]),
        ("--target mean(bpb/a,ppl) --higher-is-better ppl", ["State it (x:up=mean(bpb/a,ppl) where higher"]),
    ],
)
def test_bad_input_of_mixtures(shell, options, words):
    mixtures()
    put(pd.DataFrame({"task": SOURCES[:3], "weight": [0.5, 0.25, 0.25]}), "zero.csv")
    put(pd.DataFrame({"task": SOURCES, "weight": [0.5, 0.25, 0.5, -0.25]}), "minus.csv")
    put(pd.DataFrame(np.eye(4)[:2], columns=SOURCES), "candidates.csv")
    given = options.split()
    target = () if "--target" in given or not given else ("--target", "bpb/a")
    refused(shell(*PAIR, *target, *given), *words)


def test_too_few_runs_say_how_many_are_needed(shell):
    put(runs(m=4))
    refused(shell("select", "runs.csv", "--target", "loss"), "has 4 runs; at least 5")


def test_tasks_that_no_run_switches(shell):
    put(runs().assign(base=1, never=0))
    base = ("select", "runs.csv", "--target", "loss")
    refused(shell(*base, "--forbid", "base"), "--forbid 'base'", "on in every run")
    refused(shell(*base, "--require", "never"), "--require 'never'", "off in every run")
    line = chosen(shell(*base, "--json"))
    assert "base" in line["tasks"]
    assert "never" not in line["tasks"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--command x", ["--command", "--verify N"]),
        ("--command x --verify 3 --verified check.csv", ["--verified check.csv"]),
        ("--command x --verify 3 --masks-out check.csv", ["--masks-out check.csv"]),
        ("--command x --verify 3 --derive a=mean(loss)", ["--derive", "--target"]),
        ("--store x.db --verify 3", ["--store x.db", "--command"]),
        ("--seeds 3 --verify 3", ["--seeds 3", "--command"]),
        ("--masks-out check.csv", ["--masks-out check.csv", "--verify N"]),
        ("--verify 3 --masks-out runs.csv", ["--masks-out runs.csv", "write over runs.csv"]),
        ("--verify 3 --masks-out check.json", ["--masks-out check.json", "choose .csv"]),
        ("--verified none.csv", ["--verified", "'none.csv' does not exist"]),
        ("--verified short.csv", ["--verified", "'books'"]),
        ("--verified open.csv", ["--verified: open.csv has no column 'loss', a target of the runs. Add it"]),
        ("--accept-changed", ["--accept-changed", "--command", "--store"]),
        ("--accept-changed --verify 3 --command x", ["--accept-changed", "--store"]),
    ],
)
def test_bad_verifying(shell, options, words):
    put(runs())
    put(runs().drop(columns="books"), "short.csv")
    put(runs().drop(columns="loss"), "open.csv")
    refused(shell("select", "runs.csv", "--target", "loss", *options.split()), *words)
