"""What a report says to do next, with the command for it; names as short as they may be."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay.report import document
from interplay.report.average import told_apart
from interplay.report.brief import Brief, common
from interplay.report.notebook import html as notebook
from interplay.report.steps import ONE_TARGET, Step, steps
from interplay.report.table import text as terminal
from interplay.report.words import around, shortened, without
from interplay.trust import COMPLETE

from .hostile import NAMES
from .reports import REPORTS


def judged(name, verdict="solid", advice=COMPLETE, given=None, **changed):
    answer = REPORTS[name]()
    trust = replace(answer.trust, verdict=verdict, advice=advice, targets=(verdict,) * len(answer.targets))
    made = answer.made if given is None else {**answer.made, "given": {"target": [], "derived": False, **given}}
    return replace(answer, trust=trust, made=made, **changed)


# ---- steps

WORST = "Choose what to train on, best on the target that it serves worst"


@pytest.mark.parametrize(
    ("answer", "words", "command"),
    [
        (
            judged("one"),
            "Choose what to train on:",
            "interplay.select(runs, 'loss')",
        ),
        (
            judged("one", given={"runs": "runs.csv"}),
            "Choose what to train on:",
            "interplay select runs.csv",
        ),
        (
            judged("one", given={"runs": "runs.db --tag 'a b'", "target": ["lo*"]}),
            "Choose what to train on:",
            "interplay select runs.db --tag 'a b' --target loss",
        ),
        (
            judged("one", given={"runs": "runs.csv"}, reading="swap", size=4),
            "Choose 4 of the 8 tasks:",
            "interplay select runs.csv --size 4",
        ),
        (
            judged("mixture"),
            "Choose a mixture, best on average over the targets, each in its own standard deviations:",
            'interplay.select(runs, "mean_z(*)")',
        ),
        (
            judged("mixture", given={"runs": "a.csv --metrics b.csv"}),
            "Choose a mixture, best on average over the targets, each in its own standard deviations:",
            "interplay select a.csv --metrics b.csv --target 'mean_z(*)'",
        ),
        (
            judged("mixture", given={"runs": "a.csv", "target": ["loss/*", "acc"]}),
            "Choose a mixture, best on average over the targets, each in its own standard deviations:",
            "interplay select a.csv --target 'mean_z(loss/*, acc)'",
        ),
        (
            judged("mixture", given={"runs": "a.csv", "target": ["a,b", "c"]}),  # no expression
            "Choose a mixture, best on average over the targets, each in its own standard deviations:",
            "interplay select a.csv --worst a,b --worst c",
        ),
        (
            judged("many", given={"runs": "runs.csv"}),  # higher and lower are better
            f"{WORST}:",
            "interplay select runs.csv --worst '*'",
        ),
        (
            judged("many"),
            f"{WORST}:",
            'interplay.select(runs, worst="*")',
        ),
    ],
)
def test_a_solid_answer_says_how_to_choose_from_it(answer, words, command):
    assert steps(answer)[0] == Step(words, command)
    assert f"Next: {words} {command}\n" in terminal(answer)
    assert Step(words, command) in document.whole(answer)["steps"]


def test_repeats_that_are_advised_come_with_the_command_that_proposes_them():
    advice = "Repeating 5 runs under another seed would tell how much reproduces."
    given = steps(judged("mixture", given={"runs": "a.csv", "target": ["l*"]}, advice=advice))[-1]
    assert given.words == f"{advice} These:"
    assert given.command == (
        "interplay next a.csv --target 'l*' --for mixture --batch 5 --how repeats --out repeats.csv"
    )
    called = steps(judged("mixture", advice=advice))[-1]
    assert called.command == ("interplay.propose(runs, 'mixture', 5, how='repeats', rng=numpy.random.default_rng(0))")


def test_of_several_targets_the_average_and_single_ones_are_offered_too():
    answer = judged("mixture", given={"runs": "a.csv --metrics b.csv"}, advice="Repeat 5 runs.")
    choose, average, single, advice = steps(answer)
    assert choose.command.startswith("interplay select ")
    assert average.command == "interplay attribute a.csv --metrics b.csv --derive 'average=mean_z(*)'"
    assert single.words == f"{ONE_TARGET}; most is told apart on this one (5 of 5 single intervals exclude 0):"
    assert single.command == "interplay attribute a.csv --metrics b.csv --target loss/x"
    assert advice == Step("Repeat 5 runs.")
    assert [line.strip() for line in terminal(answer).splitlines() if line.startswith("      ")][:3] == [
        f"{average.words} {average.command}",
        f"{single.words} {single.command}",
        advice.words,
    ]
    for other in (
        judged("mixture"),  # there is no command
        judged("mixture", given={"runs": "a.csv", "derived": True}),
        judged("mixture", given={"runs": "a.csv", "target": ["a b"]}),
        judged("many", given={"runs": "a.csv"}),
    ):
        assert not any("does to the average" in step.words for step in steps(other))


def test_where_nothing_helps_on_average_for_certain_its_own_verdict_is_asked_first():
    answer = judged("mixture", given={"runs": "a.csv"})
    sure = replace(answer, effects=np.abs(answer.effects) + 1.0, deviation=np.full_like(answer.effects, 0.01))
    unsure = replace(answer, deviation=np.full_like(answer.effects, 100.0))
    assert [step.command.split()[1] for step in steps(sure)[:2]] == ["select", "attribute"]
    assert [step.command.split()[1] for step in steps(unsure)[:2]] == ["attribute", "select"]


def test_the_target_on_which_most_is_told_apart_is_named():
    answer = REPORTS["many"]()
    effects = np.ones((6, 5))
    deviation = np.where(np.arange(6)[:, None] < np.array([1, 5, 0, 6, 2]), 0.1, 9.0)
    answer = replace(answer, effects=effects, deviation=deviation)
    assert told_apart(answer) == (3, 6)
    step = next(step for step in steps(replace(answer, made={})) if step.words.startswith(ONE_TARGET))
    assert step.command == "print(interplay.report.text(answer, 'accuracy/d'))"
    nothing = replace(answer, deviation=9.0 * effects, made={})
    assert told_apart(nothing) == (0, 0)
    assert f"{ONE_TARGET}:" in [step.words for step in steps(nothing)]


@pytest.mark.parametrize("verdict", ["indicative", "not supported"])
def test_an_answer_that_is_not_solid_says_what_would_make_it_so(verdict):
    for name in ("one", "many"):
        answer = judged(name, verdict, "About 25 more runs.", given={"runs": "runs.csv"})
        asked = {"one": "leave-one-out", "many": "banzhaf"}[name]
        command = f"interplay next runs.csv --for {asked} --batch 16 --out next.csv"
        first, *single = steps(answer)
        assert first == Step("About 25 more runs. Those that tell most, 16 at a time:", command)
        assert f"Next: {first.words} {command}\n" in terminal(answer)
        assert [step.words.startswith(ONE_TARGET) for step in single] == [True] * (name == "many")
        library = steps(judged(name, verdict, "Half of them: about 5 more runs of the same design."))[0]
        assert library.command == f"interplay.propose(runs, {asked!r}, 5, rng=numpy.random.default_rng(0))"
        assert steps(judged(name, verdict, "Repeat 5 runs."))[0] == Step("Repeat 5 runs.")
    slopes = judged("one", verdict, "About 25 more runs.", reading="gradient")
    assert steps(slopes) == [Step("About 25 more runs.")]  # no question of `propose`


def test_the_command_line_names_the_files_as_they_were_given(shell, tmp_path):
    rng = np.random.default_rng(0)
    masks = ip.masks.bernoulli(5, 25, p=0.6, rng=rng)
    frame = ip.Evaluations.from_arrays(masks, masks @ np.arange(5.0), targets=["loss"]).to_frame()
    frame.to_csv(tmp_path / "my runs.csv", index=False)
    call = ("attribute", "my runs.csv", "--target", "lo*", "--missing", "skip", "--ignore", "orig*")
    code, out, err = shell(*call, "--surrogate", "ridge", "--no-pairs", "--out", "page.html")
    assert code == 0, err
    line = next(line for line in out.splitlines() if line.startswith("Next: Choose"))
    command = line.partition(": interplay ")[2]
    words = "select 'my runs.csv' --ignore 'orig*' --missing skip --target loss"
    assert command == words
    page = re.sub("</?span>", "", (tmp_path / "page.html").read_text())
    assert words.replace("'", "&#39;") in page
    code, out, err = shell(*shlex.split(command))  # it is as it may be given
    assert code == 0, err
    assert "Choice to lower loss" in out


def test_an_address_is_named_without_its_password():
    from interplay.cli.reading import RunsFiles
    from interplay.formats.several import Source

    given = RunsFiles(["postgresql://me:secret@host/runs"], tag="a", metrics=None).as_given(at="1b")
    assert given == {"runs": "postgresql://me:***@host/runs --tag a --at 1b", "target": [], "derived": False}
    several = RunsFiles(["a.csv", "1b=b c.csv"], target=["x", "y"], derive=["z=mean(x, y)"], same=["old=new"])
    assert several.as_given(truth=Source(Path("truth.csv"))) is None  # what is renamed may be there alone
    assert several.as_given() == {
        "runs": "a.csv '1b=b c.csv' --derive 'z=mean(x, y)' --same old=new",
        "target": ["x", "y"],
        "derived": True,
    }


def test_a_saved_answer_still_says_what_to_do_next(tmp_path):
    answer = judged("mixture", given={"runs": "a.csv --metrics b.csv"})
    assert steps(ip.Attribution.load(answer.save(tmp_path / "answer.json"))) == steps(answer)


def test_a_notebook_says_what_to_do_next_and_what_the_average_is_worth():
    shown = notebook(judged("mixture", given={"runs": "a<b>.csv"}))
    assert "<b>Verdict: solid, both targets.</b>" in shown
    step = steps(judged("mixture", given={"runs": "a.csv"}))[0].words
    assert f"<b>Next:</b> {step} <code>interplay select a&lt;b&gt;.csv" in shown
    assert "On average over the targets: " in shown
    assert "The verdict is of the effects within each target." in shown
    assert "On average" not in notebook(judged("one"))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_hostile_names_are_text_in_what_to_do_next(name):
    given = {"runs": shlex.quote(name), "target": [name]}
    for answer in (
        judged("one", given=given, targets=(name,)),
        judged("one", targets=(name,)),
        judged("mixture", given=given, targets=(name, f"{name}2")),
    ):
        for step in steps(answer):
            assert (step.words + step.command).isprintable()
        assert "\x1b" not in terminal(answer)


# ---- names


def test_long_names_are_cut_by_what_all_of_them_share():
    names = ["train_the_pile_arxiv", "train_the_pile_github_with_issues"]
    assert common(names) == ("train_the_pile_", "")
    assert common(["train_the_pile_arxiv", "train_the_pile_github"]) == ("", "")  # there is room for them
    assert common(["a_" + 30 * "x", "a_" + 30 * "y"]) == ("", "")  # too little is spared
    assert common(["only_one_name_that_is_as_long_as_this"]) == ("", "")
    assert common([]) == ("", "")
    long = ["valid/the_pile_a/loss", "valid/the_pile_a_bit_longer/loss"]
    assert common(long) == ("valid/the_pile_", "/loss")
    assert around(["x_", "x_a"]) == ("", "")
    assert without(long, common(long)) == ["a", "a_bit_longer"]
    assert shortened(long) == (["a", "a_bit_longer"], "valid/the_pile_.../loss")


def test_a_brief_answer_has_the_numbers_of_the_whole_one():
    answer = REPORTS["many"]()
    tasks = tuple(f"train_the_pile_{name}_text" for name in answer.tasks)
    long = replace(answer, tasks=tasks, unidentified=("train_the_pile_base_text",))
    long = replace(long, discoveries=None if answer.discoveries is None else replace(answer.discoveries, tasks=tasks))
    brief = Brief.of(long)
    assert (brief.tasks, brief.targets) == (("train_the_pile_", "_text"), ("", ""))
    assert (brief.answer.tasks, brief.answer.unidentified) == (answer.tasks, ("base",))
    assert brief.answer.effects is long.effects
    assert brief.said == "Names are shortened: tasks are train_the_pile_…_text."
    if long.discoveries is not None:
        assert brief.answer.discoveries.tasks == answer.tasks
    assert Brief.of(answer).said == ""
    table = document.of_target(long, 0)["tables"]["effects"]
    assert table["columns"][0] == {"title": "task", "kind": "text", "around": ["train_the_pile_", "_text"]}
    assert table["words"].endswith(brief.said)
    assert sorted(row[0] for row in table["rows"]) == sorted([*answer.tasks, "base"])
    assert "around" not in document.of_target(answer, 0)["tables"]["effects"]["columns"][0]


def test_control_characters_of_what_is_left_out_are_shown_as_such():
    answer = REPORTS["one"]()
    brief = Brief.of(replace(answer, tasks=tuple(f"a_rather_long\x1b\u202e_name_{name}" for name in answer.tasks)))
    table = brief.titled({"columns": [{"title": "task", "kind": "text"}], "rows": [["web"]], "words": ""})
    assert table["columns"][0]["around"] == ["a_rather_long??_name_", ""]
    assert table["words"] == "Names are shortened: tasks are a_rather_long??_name_…."


# ---- progress


def test_a_long_step_without_a_terminal_is_told_now_and_then(capsys, monkeypatch):
    from threading import Event

    from interplay import progress

    monkeypatch.setattr(progress, "LONG", 0.01)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    said, written = Event(), []

    class Stream:
        def isatty(self):
            return False

        def write(self, text):
            written.append(text)
            if len(written) >= 2:
                said.set()

        def flush(self):
            pass

    monkeypatch.setattr("sys.stderr", Stream())
    with progress.waiting("fitting"):
        assert said.wait(60)
    count = len(written)
    assert all(line.startswith("interplay: fitting, for ") and line.endswith(" so far\n") for line in written)
    assert len(written) == count  # and nothing after its end


def test_a_short_step_is_not_told(capsys):
    from interplay import progress

    with progress.waiting("fitting"):
        pass
    assert capsys.readouterr().err == ""


def test_a_step_goes_on_where_nobody_reads_its_progress(monkeypatch):
    from threading import Event

    from interplay import progress

    tried = Event()

    class Gone:
        def isatty(self):
            return False

        def write(self, text):
            tried.set()
            raise BrokenPipeError

    monkeypatch.setattr(progress, "LONG", 0.01)
    monkeypatch.setattr("sys.stderr", Gone())
    with progress.waiting("fitting"):
        assert tried.wait(60)
    monkeypatch.setattr("sys.stderr", None)
    with progress.waiting("fitting"):
        pass
