"""Derived targets: computed within each run, with a direction that is clear, named so that other runs get the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import Evaluations, LinearSurrogate, select
from interplay.cli.inputs import runs_with_derived
from interplay.derived import parse
from interplay.evaluations import EvaluationsError
from interplay.readings import leave_one_out

TARGETS = ["bpb/a", "bpb/b c", "mmlu:rc::olmes", "7shot-loss", "arc-easy_acc", "gsm_acc", "it's"]


def table(values=None, targets=TARGETS, **how):
    rng = np.random.default_rng(3)
    masks = rng.integers(0, 2, (24, 4)).astype(float)
    return Evaluations.from_arrays(
        masks, rng.random((24, len(targets))) if values is None else values, targets=targets, **how
    )


@pytest.fixture
def runs():
    return table()


def column(runs, name):
    return runs.values[:, runs.targets.index(name)]


@pytest.mark.parametrize(
    ("expression", "expected", "up"),
    [
        ("mean(bpb/*)", lambda y: (y[0] + y[1]) / 2, False),
        ("mean('bpb/b c', 7shot-loss)", lambda y: (y[1] + y[3]) / 2, False),
        ("mean(bpb/a, bpb/*)", lambda y: (y[0] + y[1]) / 2, False),
        ("0.7*arc-easy_acc + 0.3*gsm_acc", lambda y: 0.7 * y[4] + 0.3 * y[5], True),
        ("0.7*arc-easy_acc+.3*gsm_acc", lambda y: 0.7 * y[4] + 0.3 * y[5], True),
        ("1/4*bpb/a + 7shot-loss * 3e-1", lambda y: y[0] / 4 + 0.3 * y[3], False),
        ("(bpb/a + `bpb/b c`)/2", lambda y: (y[0] + y[1]) / 2, False),
        ("1 - gsm_acc", lambda y: 1 - y[5], False),
        ("-2*(bpb/a - arc-easy_acc)", lambda y: 2 * (y[4] - y[0]), True),
        ("mmlu:rc::olmes - arc-easy_acc - 2*gsm_acc", lambda y: y[2] - y[4] - 2 * y[5], False),
        ("worst(*_acc)", lambda y: np.minimum(y[4], y[5]), True),
        ("worst(bpb/*, 7shot-loss)", lambda y: np.maximum(np.maximum(y[0], y[1]), y[3]), False),
        ("worst(bpb/a, -gsm_acc)", lambda y: np.maximum(y[0], -y[5]), False),
        ("min(bpb/*)", lambda y: np.minimum(y[0], y[1]), False),
        ("max(*_acc)", lambda y: np.maximum(y[4], y[5]), True),
        ("median(bpb/*, 7shot-loss)", lambda y: np.sort(y[[0, 1, 3]], axis=0)[1], False),
        ("sum(bpb/*)", lambda y: y[0] + y[1], False),
        ('mean(mean(bpb/*), "it\'s")', lambda y: (y[0] + y[1]) / 4 + y[6] / 2, False),
        ("mean_z(bpb/a, -gsm_acc)", lambda y: (z(y[0]) - z(y[5])) / 2, False),
    ],
)
def test_expressions(runs, expression, expected, up):
    derived = runs.derive({"overall": expression})
    assert derived.targets == (*TARGETS, "overall")
    assert derived.higher_is_better == (*runs.higher_is_better, up)
    np.testing.assert_allclose(derived.values[:, -1], expected(runs.values.T), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(derived.values[:, :-1], runs.values)
    assert runs.derive(f"overall={expression}").equals(derived)


def z(y):
    return (y - y.mean()) / y.std()


LOSSES = st.sampled_from([0, 1, 3]).map(lambda t: (f"'{TARGETS[t]}'", lambda y: y[t]))


def grown(part):
    weight = st.integers(1, 9).map(lambda n: n / 8)

    def joined(a, b, spaces):
        return f"{a[0]}{spaces}+{spaces}{b[0]}", lambda y: a[1](y) + b[1](y)

    def called(name, reduce, parts):
        return f"{name}({', '.join(text for text, _ in parts)})", lambda y: reduce([f(y) for _, f in parts], axis=0)

    several = st.lists(part, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(weight, part).map(lambda t: (f"{t[0]}*({t[1][0]})", lambda y: t[0] * t[1][1](y))),
        st.tuples(part, weight).map(lambda t: (f"({t[0][0]}) / {t[1]}", lambda y: t[0][1](y) / t[1])),
        st.builds(joined, part, part, st.sampled_from(["", " "])).map(lambda p: (f"({p[0]})", p[1])),
        several.map(lambda parts: called("max", np.max, parts)),
        several.map(lambda parts: called("worst", np.max, parts)),
        several.map(lambda parts: called("min", np.min, parts)),
        part.map(lambda p: (f"-(-({p[0]}))", p[1])),
    )


@settings(max_examples=60, deadline=None)
@given(st.recursive(LOSSES, grown, max_leaves=6))
def test_whatever_is_built_of_losses_is_computed_and_written_out(built):
    runs = table()
    text, compute = built
    derived = runs.derive({"x": text})
    assert derived.higher_is_better[-1] is False
    np.testing.assert_allclose(derived.values[:, -1], compute(runs.values.T), rtol=1e-9)
    assert runs.derive(derived.notes["derived"]).equals(derived)


def test_named_groups(runs):
    derived = runs.derive(["bits=mean(bpb/*)", "own words = max(bits, 7shot-loss)", "rest=mean(bpb/*, *loss)"])
    bits = (runs.values[:, 0] + runs.values[:, 1]) / 2
    assert derived.targets[-3:] == ("bits", "own words", "rest")
    np.testing.assert_allclose(column(derived, "own words"), np.maximum(bits, runs.values[:, 3]))
    again = derived.derive("all=mean(b*)")  # a glob never stands for what was derived, here or before
    np.testing.assert_allclose(column(again, "all"), bits)
    assert list(again.notes["derived"]) == ["bits:down", "own words:down", "rest:down", "all:down"]
    np.testing.assert_allclose(column(runs.derive({"a=b": "mean(bpb/*)"}), "a=b"), bits)


def test_other_runs_get_the_same_target(runs):
    """The truth of some runs is standardised as they are, not by itself."""
    names = ["overall:up=mean_z(bpb/*, 7shot-loss)", "hard=worst(*_acc)"]
    derived = runs.derive(names)
    part = runs[:7].derive(derived.notes["derived"])
    np.testing.assert_allclose(part.values, derived.values[:7], rtol=1e-12)
    assert part.higher_is_better == derived.higher_is_better
    assert part.notes == derived.notes
    assert not np.allclose(column(runs[:7].derive(names), "overall"), column(part, "overall"))
    assert (derived[:3] + part[3:]).equals(part)


def test_many_targets():
    """Definitions that are written out name hundreds of targets, in sums as flat as the one that was asked for."""
    runs = table(np.random.default_rng(0).random((24, 900)), [f"{t}_loss" for t in range(900)])
    derived = runs.derive(["all=sum(*)", "z=mean_z(*)"])
    np.testing.assert_allclose(column(derived, "all"), runs.values.sum(axis=1))
    assert runs.derive(derived.notes["derived"]).equals(derived)
    with pytest.raises(EvaluationsError, match=r"x='0_loss'.*…: too long a sum; write sum\(...\)"):
        runs.derive("x=" + " + ".join(f"'{name}'" for name in 4 * runs.targets))


def test_files_keep_the_definition(runs, tmp_path):
    derived = runs.derive("overall=mean(bpb/*)")
    derived.write(tmp_path / "runs.csv")
    assert Evaluations.read(tmp_path / "runs.csv").equals(derived)


def test_stated_directions(runs):
    assert runs.derive("gap:up=arc-easy_acc - gsm_acc").higher_is_better[-1] is True
    assert runs.derive("gap:down=arc-easy_acc - gsm_acc").higher_is_better[-1] is False
    assert runs.derive({"x:up": "bpb/a"}).higher_is_better[-1] is True
    assert runs.derive("'a:b':down=mean(bpb/*)").targets[-1] == "a:b"
    assert runs.derive("a:b=mean(bpb/*)").targets[-1] == "a:b"


def test_missing_values():
    values = np.arange(24.0 * 3).reshape(24, 3)
    values[:5, 1] = np.nan
    runs = table(values, ["a_loss", "b_loss", "c_loss"])
    for function in ("mean", "median", "max", "mean_z"):
        derived = runs.derive(f"x={function}(*)")
        assert np.isnan(derived.values[:, -1]).tolist() == [True] * 5 + [False] * 19
        assert "x: no value in 5 of 24 runs, where a member was not measured" in derived.warnings
    assert runs.derive("x=mean(a_loss, c_loss)").warnings == ()
    values[5:, 0] = np.nan
    with pytest.raises(EvaluationsError, match=r"x=mean\(\*\): no run has all of its members.*Leave some"):
        table(values, runs.targets).derive("x=mean(*)")


def test_scales_that_differ_are_said(runs):
    wide = table(runs.values[:, :3] * [1, 1, 400], ["a_loss", "b_loss", "ppl"])
    said = wide.derive("x=mean(*)").warnings
    assert len(said) == 1
    spread = wide.values.std(axis=0)
    times = spread[2] / spread[:2].min()
    assert said[0].startswith(f"x: 'ppl' varies {times:.0f} times as much between the runs as '")
    assert "mean_z(...) weighs all alike" in said[0]
    assert wide.derive("x=0.5*ppl + 0.5*a_loss").warnings != ()
    assert wide.derive("x=worst(*)").warnings == ("x: it is 'ppl' in every run, and the other 2 never decide it",)
    for fine in (
        "mean(a_loss, b_loss)",
        "0.001*ppl + a_loss",
        "mean_z(*)",
        "median(*)",
        "worst(a_loss, b_loss)",
        "ppl - 3",
    ):
        assert wide.derive({"x": fine}).warnings == (), fine


def test_a_constant_target_is_zero_when_standardised(runs):
    values = np.column_stack([runs.values[:, 0], np.full(24, 0.3)])
    derived = table(values, ["a_loss", "still_loss"]).derive("x=mean_z(*)")
    np.testing.assert_allclose(derived.values[:, -1], z(values[:, 0]) / 2, atol=1e-12)


def test_intervals_measure_the_correlation_of_errors():
    """dev(a + b)^2 + dev(a - b)^2 = 2 dev(a)^2 + 2 dev(b)^2; were errors independent, the first two would be equal."""
    rng = np.random.default_rng(5)
    X = rng.integers(0, 2, (60, 5)).astype(float)
    shared, own = rng.normal(size=(60, 1)), rng.normal(size=(60, 2))
    runs = Evaluations.from_arrays(X, X @ rng.normal(size=(5, 2)) + shared + 0.3 * own, targets=["a_loss", "b_loss"])
    runs = runs.derive(["plus=a_loss + b_loss", "minus:down=a_loss - b_loss"])
    variance = leave_one_out(LinearSurrogate(alpha=0.5).fit(X, runs.values)).deviation ** 2
    a, b, plus, minus = variance.T
    np.testing.assert_allclose(plus + minus, 2 * (a + b), rtol=1e-6)
    assert (plus > 1.5 * (a + b)).all()
    assert (minus < 0.5 * (a + b)).all()


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("x", "'x' defines nothing. Write NAME=EXPRESSION, as in 'overall=mean"),
        ("mean(bpb/*)", "defines nothing. Write NAME=EXPRESSION"),
        ("=bpb/a", "'' names no target. Write NAME=EXPRESSION"),
        ("bpb/a=7shot-loss", "there is a target 'bpb/a' already; give the derived one a name of its own"),
        ("x=mean(bpd/*)", r"x=mean\(bpd/\*\): no target is called 'bpd/\*'.*such as 'bpb"),
        ("x=gsm_acc*2", r"no target is called 'gsm_acc\*2'.*such as 'gsm_acc'.*want blanks around them"),
        ("x=arc-easy_acc-gsm_acc", "no target is called.*want blanks around them"),
        ("x=bpb/b c", "an operator is expected at 'c'. Names with blanks.*in quotes"),
        ("x=bpb/*", r"a glob stands for 2 targets here \('bpb/a', 'bpb/b c'\).*mean\(...\), sum"),
        ("x=2*bpb/* + gsm_acc", "a glob stands for 2 targets here"),
        ("x=(bpb/a, gsm_acc)", "a list of targets needs a function before it"),
        ("x=avg(bpb/*)", "'avg' is no function; there are mean, sum, median, min, max, worst, mean_z"),
        ("x=__import__('os')", "'__import__' is no function"),
        ("x=mean(bpb/a", "brackets do not match"),
        ("x=mean(bpb/a))", "brackets do not match"),
        ("x=" + "(" * 3000 + "bpb/a" + ")" * 3000, "nested too deeply"),
        ("x=mean()", r"a target, a number or a function is expected at '\)'"),
        ("x=mean(bpb/a,)", r"expected at '\)'"),
        ("x=bpb/a +", "expected at 'the end'"),
        ("x='bpb/a", 'expected at "\'bpb/a"'),
        ("x=bpb/a * gsm_acc", "a product of targets has no direction; one side of . must be a number"),
        ("x=bpb/a / gsm_acc", "divided by numbers other than 0 only"),
        ("x=bpb/a / 0", "divided by numbers other than 0 only"),
        ("x=1 + 2", "it uses no target; name at least one"),
        ("x=1e400*bpb/a", "inf for target 'x'; values must be finite"),
        ("x=mean(bpb/a, gsm_acc)", "pull both ways .'bpb/a' ↓, 'gsm_acc' ↑.*x:up=.*:down.*higher_is_better"),
        ("x=arc-easy_acc - gsm_acc", "pull both ways .*a minus turns one round.*State it .x:up="),
        ("x=worst(bpb/a, gsm_acc)", r"'bpb/a' ↓, 'gsm_acc' ↑.: which is worst is unclear.*worst\(acc, -loss\)"),
        ("x:up=worst(bpb/a, gsm_acc)", "which is worst is unclear"),
    ],
)
def test_bad_definitions(runs, definition, words):
    with pytest.raises(EvaluationsError, match=f"(?s){words}"):
        runs.derive(definition)


def test_a_sum_without_a_name_is_said_as_one_that_can_be_written(runs):
    sum_ = "arc-easy_acc - gsm_acc"
    with pytest.raises(
        EvaluationsError, match=f"^{sum_}: its parts .*State it .x:up={sum_} where higher is better"
    ) as e:
        runs.derive({f'"{sum_}"': sum_})
    stated = str(e.value).split("State it (")[1].split(" where")[0]
    assert runs.derive(stated).targets[-1] == "x"
    with pytest.raises(
        EvaluationsError, match=r"^target: arc-easy_acc - gsm_acc: its .*x:up=arc-easy_acc - gsm_acc where"
    ):
        select(runs, sum_)
    assert select(runs, stated).objective == "raise x"


def test_nothing_but_the_grammar_is_evaluated():
    for text in ("x=mean(a).real", "x=mean(a)[0]", "x=lambda: 0", "x=a if b else c", "x={a}", "x=a == b", "x=a**b"):
        with pytest.raises(EvaluationsError):
            table(np.ones((24, 3)), ["a", "b", "c"]).derive(text)
    assert parse("x=_0 + _1")[0].members == ("_0", "_1")  # names never meet the placeholders


def test_options_read_what_the_definitions_use(tmp_path):
    path = tmp_path / "runs.csv"
    rows = "".join(f"{i % 2},{i // 2 % 2},{i},{2 * i},0.{i}\n" for i in range(6))
    path.write_text("web,code,target:loss_a,target:loss_b,target:acc\n" + rows)
    read = lambda targets: Evaluations.read(path, targets=targets)
    assert runs_with_derived(read, None, None).targets == ("loss_a", "loss_b", "acc")
    alone = runs_with_derived(read, None, ["x=mean(loss_*)"])
    assert alone.targets == ("x",)
    np.testing.assert_allclose(alone.values[:, 0], 1.5 * np.arange(6))
    assert runs_with_derived(read, ["acc", "x"], ["x=mean(loss_*)"]).targets == ("acc", "x")
    assert runs_with_derived(read, ["acc"], ["m=mean(loss_*)", "x=2*m"]).targets == ("acc", "m", "x")
    assert runs_with_derived(read, ["acc"], None).targets == ("acc",)
    again = runs_with_derived(read, None, alone.notes["derived"])
    assert again.equals(alone)
    with pytest.raises(ValueError, match=r"--derive: x=avg"):
        runs_with_derived(read, None, ["x=avg(acc)"])
