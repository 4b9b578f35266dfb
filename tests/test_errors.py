"""Errors that carry their parts, names that `select` does not know, and options that can be copied from a message."""

import pickle
import re
import shlex

import numpy as np
import pandas as pd
import pytest

import interplay as ip
from interplay.derived import FormulaError, parse
from interplay.evaluations import EvaluationsError
from interplay.fields import UnknownName, match, unknown
from interplay.store import ProblemMismatch, Store
from interplay.store.listing import SeveralTags
from tests.command_line import refused
from tests.evaluators import DESIGN, Additive


def test_an_unknown_name_carries_its_parts():
    with pytest.raises(UnknownName) as caught:
        match("los", ["loss", "acc"], "target", of="runs.csv", argument="worst")
    error = caught.value
    assert (error.name, error.known, error.what) == ("los", ("loss", "acc"), "target")
    assert (error.of, error.argument, error.near) == ("runs.csv", "worst", "'loss'")
    assert str(error) == "worst: no target of runs.csv is called 'los'. There are 2, such as 'loss'."
    again = pickle.loads(pickle.dumps(error))  # as it comes back from a worker
    assert (str(again), again.known, again.of) == (str(error), error.known, "runs.csv")


def test_what_there_is_instead():
    assert str(unknown("a", ["b"], "task")) == "no task is called 'a'. There is only 'b'."
    assert str(unknown("a", [], "task")) == "no task is called 'a'. There is none."
    assert unknown("zzz", list("abcdefg"), "task").near == "'a', 'b', 'c', 'd', 'e'"


def test_a_formula_carries_its_parts():
    with pytest.raises(FormulaError) as caught:
        parse({"x": "mean(a"})
    assert caught.value.text == "x=mean(a"
    assert caught.value.reason.startswith("its brackets do not match")
    assert str(pickle.loads(pickle.dumps(caught.value))) == f"x=mean(a: {caught.value.reason}"


@pytest.mark.parametrize(
    ("other", "clash", "remedy"),
    [
        (Additive(lr=0.01), "settings", "Keep both under tags of their own (tag='...', --tag), name another store, or"),
        (Additive(tasks=("a", "b", "c", "d"), fidelity="small"), "tag", "Fidelities of one tag answer one question: g"),
    ],
)
def test_a_mismatch_keeps_its_remedy_apart(tmp_path, other, clash, remedy):
    ip.evaluate(Additive(), DESIGN, store=tmp_path / "runs.db", progress=False)
    with pytest.raises(ProblemMismatch) as caught:
        ip.evaluate(other, DESIGN, store=tmp_path / "runs.db", progress=False)
    error = caught.value
    assert error.clash == clash
    assert error.remedy.startswith(remedy)
    assert error.statement.endswith(".")
    assert "tag=" not in error.statement
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == f"{error.statement} {error.remedy}"


def test_several_tags_are_carried(tmp_path):
    for tag in ("a", "b"):
        ip.evaluate(Additive(), DESIGN[:5], store=tmp_path / "runs.db", tag=tag, progress=False)
    with pytest.raises(SeveralTags) as caught:
        Store(tmp_path / "runs.db").evaluations()
    assert caught.value.tags == ("a", "b")
    assert str(caught.value) == f"{caught.value.statement} Name one (tag=, --tag)."
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def _runs(kind="mask"):
    rng = np.random.default_rng(0)
    masks = rng.dirichlet(np.ones(3), 20) if kind == "mixture" else (rng.random((20, 3)) < 0.5).astype(float)
    values = np.stack([masks @ [1.0, 0.5, 0.2], masks @ [0.1, 0.2, 0.9]], axis=1)
    return ip.Evaluations.from_arrays(masks, values, tasks=["web", "code", "math"], targets=["loss", "bpb"])


@pytest.mark.parametrize(
    ("kind", "asked", "words"),
    [
        ("mask", {"target": "los"}, "target: no target is called 'los'. There are 2, such as 'loss'."),
        ("mask", {"worst": ["bpb", "los"]}, "worst: no target is called 'los'. There are 2, such as 'loss'."),
        ("mask", {"pareto": ["bpb", "los"]}, "pareto: no target is called 'los'. There are 2, such as 'loss'."),
        ("mask", {"target": "bpb", "within": {"los": 0.1}}, "within: no target is called 'los'. There are 2, such"),
        ("mask", {"target": "bpb", "require": ["cod"]}, "require: no task is called 'cod'. There are 3, such as 'code"),
        ("mask", {"target": "bpb", "forbid": "cod"}, "forbid: no task is called 'cod'. There are 3, such as 'code'"),
        ("mask", {"target": "bpb", "costs": {"cod": 1.0}, "budget": 1}, "costs: no task is called 'cod'. There are 3"),
        ("mask", {"target": "bpb", "at_most": {"x": (["cod"], 1)}}, "at_most 'x': no task is called 'cod'. There are"),
        ("mixture", {"target": "bpb", "caps": {"cod": 0.5}}, "caps: no task is called 'cod'. There are 3, such as 'co"),
        ("mixture", {"target": "bpb", "floors": {"cod": 0.1}}, "floors: no task is called 'cod'. There are 3, such as"),
        ("mixture", {"target": "bpb", "near": {"cod": 1.0}, "kl": 1.0}, "near: no task is called 'cod'. There are 3, "),
        ("mask", {"target": "bpb", "within": ["loss"]}, "within is ['loss']; give by how much each may be worse"),
        ("mask", {"worst": 3}, "worst is 3; give names of targets, such as ['loss', 'bpb']."),
    ],
)
def test_select_names_the_argument_of_an_unknown_name(kind, asked, words):
    with pytest.raises(EvaluationsError, match=re.escape(words)):
        ip.select(_runs(kind), **asked)


def test_others_name_the_argument_too():
    with pytest.raises(UnknownName, match="target: no target is called 'los'"):
        ip.attribute(_runs(), target="los")
    with pytest.raises(UnknownName, match="empty: no target is called 'los'"):
        ip.attribute(_runs(), target="loss", reading="shapley", empty={"los": 1.0})
    with pytest.raises(UnknownName, match="higher_is_better: no target is called 'acc'"):
        ip.Evaluations.from_arrays(np.eye(2), [1.0, 2.0], targets=["loss"], higher_is_better=["acc"])


def test_options_are_named_on_the_command_line(shell):
    _runs().write("runs.csv")
    _runs().to_frame().to_csv("plain.csv", index=False)
    named = ("plain.csv", "--target", "loss", "--target", "bpb")
    refused(shell("attribute", *named, "--higher-is-better", "los"), "--higher-is-better: no target is called 'los'")
    refused(shell("attribute", *named, "--lower-is-better", "los"), "--lower-is-better: no target is called 'los'")
    refused(shell("attribute", "runs.csv", "--reading", "shapley", "--empty", "los=1"), "--empty: no target is called")
    pd.DataFrame({"run": range(6), "web": [0, 1] * 3, "code": [1, 0] * 3, "loss": np.arange(6) / 7}).to_csv("wide.csv")
    refused(shell("import", "wide", "wide.csv", "--higher-is-better", "los"), "--higher-is-better: no target is called")


# ---------------------------------------------------------------- options to copy

ODD = "my $HOME x"  # a shell would expand it and cut it in three


def copied(message, option):
    """The value that a shell hands on when the option is copied from a message."""
    words = shlex.split(message[message.index(f"{option} ") :].replace("'s ", " ").rstrip("."))
    assert words[0] == option
    return words[1].rstrip(",.;")


@pytest.mark.parametrize(
    ("cells", "option"),
    [
        ({ODD: [0, 1, 0, 1, 0, np.nan]}, "--ignore"),  # a gap in a task
        ({ODD: [0, 1, 0, 1, 0, "x"]}, "--ignore"),  # text among numbers
        ({ODD: [0, 1, 0, 1, 0, 0.83]}, "--ignore"),  # no mask beside masks
        ({"seed": [0, 1, 0, 1, 0, "x"]}, "--ignore"),
    ],
)
def test_columns_to_leave_out_are_quoted(tmp_path, cells, option):
    place = tmp_path / "runs.csv"
    pd.DataFrame({"a": [0, 1] * 3, "b": [1, 1, 0] * 2, **cells, "loss": range(6)}).to_csv(place, index=False)
    with pytest.raises(EvaluationsError) as caught:
        ip.Evaluations.read(place, targets="loss")
    assert copied(str(caught.value), option) == next(iter(cells))


def test_a_likely_target_is_quoted(tmp_path):
    place = tmp_path / "runs.csv"
    pd.DataFrame({"a": [0, 1] * 3, "b": [1, 1, 0] * 2, "my out": [3.5] * 6}).to_csv(place, index=False)
    with pytest.raises(EvaluationsError, match=re.escape("--target 'my out' (repeatable")):
        ip.Evaluations.read(place)


def test_importers_quote_what_they_name(tmp_path):
    place = tmp_path / "runs.csv"
    frame = pd.DataFrame({"run": list("pqrstu"), "a": [0, 1] * 3, "b": [1, 1, 0] * 2, "loss": range(6)})
    frame.assign(**{ODD: [0, 1, 0, 1, 0, "x"]}).to_csv(place, index=False)
    with pytest.raises(EvaluationsError) as caught:
        ip.import_runs("wide", place)
    assert copied(str(caught.value), "--ignore") == ODD
    frame.assign(**{ODD: [0, 1, 0, 1, 0, np.nan]}).to_csv(place, index=False)
    with pytest.raises(EvaluationsError) as caught:
        ip.import_runs("wide", place, tasks=["a", "b", ODD])
    assert copied(str(caught.value), "--ignore") == ODD


def test_fidelities_and_phases_are_quoted():
    from interplay.phases import phased

    runs = ip.Evaluations.from_arrays([[1.0, 0.0], [0.0, 1.0]] * 3, np.arange(6.0), tasks=["main:a", ODD])
    with pytest.raises(EvaluationsError) as caught:
        phased(runs, {"main": 1.0})
    assert f"(--ignore {shlex.quote(ODD)})" in str(caught.value)
    rng = np.random.default_rng(0)
    masks = (rng.random((20, 3)) < 0.5).astype(float)
    runs = ip.Evaluations.from_arrays(masks, masks @ np.ones(3), fidelity=np.array(["of a", "of b"] * 10))
    with pytest.raises(EvaluationsError, match=re.escape("at='of a' (--at 'of a')")):
        ip.attribute(runs)


def test_files_to_go_on_with_are_quoted(shell, tmp_path):
    (tmp_path / "a b").mkdir()
    code, out, _ = shell("design", "--tasks", "a,b,c,d", "--runs", "8", "--out", "a b/my masks.csv")
    assert code == 0
    assert "interplay attribute 'a b/my masks.csv' --target RESULT" in out
    assert "interplay evaluate 'a b/my masks.csv' --store" in out
    _runs().write("my runs.csv")
    code, out, _ = shell("next", "my runs.csv", "--target", "loss", "--batch", "2", "--out", "a b/next $1.csv")
    assert code == 0
    assert "interplay evaluate 'a b/next $1.csv' --store" in out


def test_a_broken_file_is_called_by_its_whole_path_once(tmp_path):
    from interplay.formats.imports.documents import load

    place = tmp_path / "fit.yaml.gz" / "fit.yaml.gz"  # the folder is called like the file
    place.parent.mkdir()
    place.write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(EvaluationsError) as caught:
        load(place)
    assert str(caught.value).startswith(f"{place} is compressed with gzip and broken")
    place.write_bytes(b"PK\x03\x04 something")
    with pytest.raises(EvaluationsError) as caught:
        load(place)
    assert str(caught.value) == f"{place} is a zip archive. Unpack it, and give the file that is in it."
