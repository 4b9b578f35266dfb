"""Retraining by a user's function: what it may return, how it is seeded, and how one function is told from another."""

import functools
import importlib.util
import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from interplay.evaluators.code import canonical, code_of, digest_of_source, names_in
from interplay.evaluators.digests import described, digest, flat
from interplay.evaluators.failures import EvaluationFailed
from interplay.evaluators.retrain import Retrain
from interplay.evaluators.seeding import seeded

MASKS, SEEDS = np.array([[1.0, 0.0, 1.0], [0.0, 0.5, 1.0]]), np.array([3, 4])


EMPTY = iter(())


def train(mask, seed):
    return {"loss": mask.sum() + seed, "acc": np.float32(0.5)}


def test_a_row_for_each_mask_and_targets_in_the_order_of_the_first_result():
    runs = Retrain(train)
    assert (runs.tasks, runs.targets, runs.fidelity, runs.batch, runs.notes) == (None, None, "retrained", 1, {})
    np.testing.assert_array_equal(runs.evaluate(MASKS, SEEDS), [[5, 0.5], [5.5, 0.5]])
    assert runs.targets == ("loss", "acc")


def test_targets_may_be_named_beforehand_and_rule_the_order():
    runs = Retrain(train, tasks="abc", targets=["acc", "loss"], fidelity="small")
    np.testing.assert_array_equal(runs.evaluate(MASKS[:1], SEEDS[:1]), [[0.5, 5]])
    assert (runs.tasks, runs.fidelity) == (("a", "b", "c"), "small")


def test_a_function_may_do_with_its_mask_as_it_likes():
    def spoils(mask, seed):
        mask[:] = 0
        return {"seed": seed, "int": int(isinstance(seed, int))}

    masks = MASKS.copy()
    assert Retrain(spoils).evaluate(masks, SEEDS).tolist() == [[3, 1], [4, 1]]
    np.testing.assert_array_equal(masks, MASKS)


def test_a_bare_number_is_the_one_target():
    runs = Retrain(lambda mask, seed: mask.sum())
    np.testing.assert_array_equal(runs.evaluate(MASKS, SEEDS), [[2], [1.5]])
    assert runs.targets == ("target",)
    runs = Retrain(lambda mask, seed: 1.5, targets=["loss"])
    assert (runs.evaluate(MASKS, SEEDS).tolist(), runs.targets) == ([[1.5], [1.5]], ("loss",))


def test_tensors_without_dimensions_are_numbers():
    torch = pytest.importorskip("torch")
    found = {"a": torch.tensor(0.5, requires_grad=True), "b": torch.tensor(2, dtype=torch.int32), "c": np.array(3.0)}
    found["d"] = torch.tensor(0.25, dtype=torch.bfloat16)
    assert Retrain(lambda mask, seed: found).evaluate(MASKS[:1], SEEDS[:1]).tolist() == [[0.5, 2, 3, 0.25]]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"loss": 1.0}, "lacks target 'acc'; every evaluation must measure 'loss', 'acc', and nothing else"),
        ({}, "returned no target"),
        ({"loss": 1.0, "acc": 1.0, "x": 2, "y": 3}, "unexpected targets 'x', 'y'"),
        ({"loss": np.nan, "acc": 1.0}, "target 'loss' in the result of .* is nan; a training that diverged"),
        ({"loss": 1.0, "acc": -np.inf}, "target 'acc' in the result of .* is -inf"),
        ({"loss": "0.5", "acc": 1.0}, r"target 'loss' in the result of .* is '0.5' \(str\); it must be one number"),
        ({"loss": None, "acc": 1.0}, "target 'loss' in the result of .* is None"),
        ({"loss": 1.0, "acc": np.ones(2)}, r"target 'acc' in the result of .* is a ndarray of shape \(2,\)"),
        ({"loss": 1.0, "acc": [1.0]}, r"target 'acc' in the result of .* is \[1.0\] \(list\)"),
        ({"loss": 1j, "acc": 1.0}, "target 'loss' in the result of .* is a complex"),
        ({"loss": 1.0, 2: 1.0}, "a value for 2; names of targets are strings"),
        (None, "returned None; it must return the value of every target"),
        ([0.5, 0.5], r"returned \[0.5, 0.5\] \(list\)"),
        (0.5, "lacks targets 'loss', 'acc'"),
        (np.ones((2, 2)), r"returned a ndarray of shape \(2, 2\)"),
    ],
)
def test_bad_results_are_failures_that_name_the_target(result, message):
    results = iter([{"loss": 1.0, "acc": 1.0}, result])
    runs = Retrain(lambda mask, seed: next(results))
    runs.evaluate(MASKS[:1], SEEDS[:1])
    with pytest.raises(EvaluationFailed, match=message):
        runs.evaluate(MASKS[:1], SEEDS[:1])


def test_what_a_function_raises_passes_through():
    def fails(mask, seed):
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        Retrain(fails).evaluate(MASKS, SEEDS)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"absent_tasks": "fixed_stepz"}, ValueError, "absent_tasks is 'fixed_stepz'; use 'fixed_steps'"),
        ({"coupled": "yes"}, ValueError, "coupled is 'yes'"),
        ({"settings": {"optimiser": object()}}, ValueError, "settings.optimiser is <object"),
        ({"settings": {"lr": float("nan")}}, ValueError, "settings.lr is nan"),
        ({"settings": 0.1}, ValueError, "settings is 0.1"),
        ({"fn": 3}, TypeError, "fn is a int"),
        ({"fn": lambda mask: 0.0}, TypeError, r"fn\(mask\) cannot be called as fn\(mask, seed\)"),
    ],
)
def test_bad_arguments_are_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        Retrain(**({"fn": train} | options))


@pytest.mark.parametrize(
    ("masks", "seeds", "message"),
    [
        (np.ones((2, 2)), [0, 1], r"must be \(b, 3\)"),
        (np.ones((2, 3)), [0], r"must be \(2,\)"),
        (np.full((1, 3), np.nan), [0], "not finite"),
    ],
)
def test_bad_rows_are_refused(masks, seeds, message):
    with pytest.raises(ValueError, match=message):
        Retrain(train, tasks="abc").evaluate(masks, seeds)


def test_what_is_stated_of_the_runs_is_in_the_notes():
    notes = Retrain(train, coupled=True, absent_tasks="fixed-epochs").notes
    assert notes == {"coupled": True, "absent_tasks": "fixed_epochs"}


def test_a_failure_keeps_its_output_when_it_is_pickled():
    import pickle

    failure = pickle.loads(pickle.dumps(EvaluationFailed("why", "printed")))
    assert (str(failure), failure.output) == ("why", "printed")


# ---------------------------------------------------------------- seeds


def draws(mask, seed):
    """A function that forgot its seed."""
    return {"python": random.random(), "numpy": np.random.random()}  # noqa: NPY002


def test_global_generators_are_seeded_so_that_order_does_not_matter():
    forth = Retrain(draws).evaluate(np.ones((3, 2)), np.array([0, 1, 2]))
    back = Retrain(draws).evaluate(np.ones((3, 2)), np.array([2, 1, 0]))[::-1]
    np.testing.assert_array_equal(forth, back)
    assert len(np.unique(forth)) == 6
    unseeded = Retrain(draws, seed_globals=False)
    assert not np.array_equal(unseeded.evaluate(MASKS, SEEDS), unseeded.evaluate(MASKS, SEEDS))


def test_a_function_that_reseeds_leaves_nothing_behind():
    torch = pytest.importorskip("torch")

    def reseeds(mask, seed):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        return 0.0

    def fails(mask, seed):
        reseeds(mask, seed)
        raise OSError

    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    expected = random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    Retrain(reseeds).evaluate(MASKS, SEEDS)
    with pytest.raises(OSError, match=r"^$"):
        Retrain(fails).evaluate(MASKS, SEEDS)
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected  # noqa: NPY002


def test_seeds_beyond_32_bits_are_welcome():
    assert Retrain(draws).evaluate(MASKS[:1], [2**40]).shape == (1, 2)
    with seeded(2**62):
        pass


def test_torch_is_seeded_for_a_function_that_imports_it_itself(tmp_path):
    pytest.importorskip("torch")
    code = """
        import sys, numpy as np
        from interplay.evaluators.retrain import Retrain
        def train(mask, seed):
            import torch
            return {"a": torch.rand(1).item()}
        assert "torch" not in sys.modules
        a = Retrain(train).evaluate(np.ones((2, 2)), np.array([7, 7]))
        assert a[0] == a[1], a
    """
    (tmp_path / "late.py").write_text(textwrap.dedent(code))
    subprocess.run([sys.executable, str(tmp_path / "late.py")], check=True)


def test_imports_are_seen_inside_methods_and_bound_functions():
    class Trainer:
        def __call__(self, mask, seed):
            def inner():
                import torch.nn

                return torch.nn

            return inner()

    assert "torch" in names_in(Trainer())
    assert "torch" in names_in(functools.partial(Trainer().__call__))


# ---------------------------------------------------------------- which function it is

SCRIPT = '''
import json, sys
from helper import Net
import helper as tools

LR = 0.1
SIZES = {"hidden": 32}
HERE = __file__
CACHE, count = {}, 0

def unused():
    return 1

def measure(net):
    """How good it is."""
    return net.width * LR

def train(mask, seed, steps=10):
    """Train."""
    global count
    count += 1
    CACHE[seed] = 1  # seen
    net = Net(SIZES["hidden"])
    return {"loss": measure(net) + tools.extra(), "where": len(HERE)}

if __name__ == "__main__":
    from interplay.evaluators.retrain import Retrain
    import numpy as np
    runs = Retrain(train)
    runs.evaluate(np.ones((1, 2)), np.zeros(1, int))
    again = Retrain(train)
    assert again.fingerprint() == runs.fingerprint()
    print(json.dumps(runs.fingerprint()))
'''
HELPER = """
class Net:
    def __init__(self, width):
        self.width = width

OFFSET = 3

def extra():
    return OFFSET
"""


def project(folder, script=SCRIPT, helper=HELPER):
    """Fingerprint of a user's two files, run as a script in a process of their own."""
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(script)
    (folder / "helper.py").write_text(helper)
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, check=True, capture_output=True, text=True)
    import json

    return json.loads(done.stdout)


def test_a_script_has_one_fingerprint_wherever_and_however_it_is_run(tmp_path, monkeypatch):
    as_main = project(tmp_path / "one")
    assert as_main.pop("code")
    assert as_main == {
        "function": "train",
        "argument.steps": 10,
        "global.LR": 0.1,
        "global.OFFSET": 3,
        "global.SIZES": {"hidden": 32},
    }
    as_main = project(tmp_path / "two")
    monkeypatch.syspath_prepend(str(tmp_path / "two"))
    spec = importlib.util.spec_from_file_location("renamed", tmp_path / "two" / "script.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    imported = Retrain(module.train).fingerprint()
    sys.modules.pop("helper")
    assert imported == as_main == project(tmp_path / "one")


def test_one_function_in_versions_of_python():
    """What syntax trees of other versions add or leave out does not count."""
    f = "def f(a: int, *, b=1) -> int:\n    return f'{a!r:>{b}} {b=}' if b else None"
    assert digest_of_source(f) == "cda9f0460ecdd25d"


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ('"""How good it is."""', "# how good", set()),
        ("return 1", "return 2", set()),
        ("count += 1", "count += (\n        1\n    )", set()),
        ("import json, sys", "import json, sys, os\n\n", set()),
        ("CACHE, count = {}, 0", "CACHE, count = {5: 1}, 7", set()),
        ("net.width * LR", "net.width / LR", {"code"}),
        ("LR = 0.1", "LR = 0.2", {"global.LR"}),
        ('"hidden": 32', '"hidden": 64', {"global.SIZES"}),
        ("steps=10", "steps=20", {"code", "argument.steps"}),
        ("self.width = width", "self.width = 2 * width", {"code"}),
        ("OFFSET = 3", "OFFSET = 4", {"global.OFFSET"}),
        ("return OFFSET", "return -OFFSET", {"code"}),
    ],
)
def test_what_changes_results_changes_the_fingerprint(tmp_path, old, new, differs):
    before = project(tmp_path / "p")
    after = project(tmp_path / "p", SCRIPT.replace(old, new), HELPER.replace(old, new))
    assert (SCRIPT + HELPER).count(old) == 1
    assert {key for key in before | after if before.get(key) != after.get(key)} == differs


def test_values_around_a_function_tell_it_from_its_like():
    def make(lr, data, log):
        def fn(mask, seed):
            log.append(seed)
            return {"loss": lr * data["x"].sum()}

        return fn

    log = []
    first = Retrain(make(0.1, {"x": np.ones(3)}, log))
    assert set(first.fingerprint()) == {"function", "code", "closure.lr", "closure.data"}
    assert first.fingerprint()["closure.lr"] == 0.1
    first.evaluate(MASKS, SEEDS)
    assert Retrain(make(0.1, {"x": np.ones(3)}, log)).fingerprint() == first.fingerprint()
    other = Retrain(make(0.2, {"x": np.zeros(3)}, log)).fingerprint()
    differs = {key for key in other if other[key] != first.fingerprint()[key]}
    assert differs == {"closure.lr", "closure.data"}


def test_bound_arguments_objects_methods_and_lambdas():
    class Trainer:
        def __init__(self, lr):
            self.lr, self.calls, self.where = lr, 0, "/absolute/path"

        def __call__(self, mask, seed):
            self.calls += 1
            return self.run(mask, seed)

        def run(self, mask, seed):
            return {"loss": self.lr}

    trainer = Trainer(0.1)
    found = Retrain(trainer)
    found.evaluate(MASKS, SEEDS)
    assert found.fingerprint()["function"].endswith("Trainer")
    assert found.fingerprint()["self.lr"] == 0.1
    assert set(found.fingerprint()) == {"function", "code", "self.lr"}
    assert Retrain(trainer).fingerprint() == found.fingerprint()
    assert Retrain(trainer.run).fingerprint()["function"].endswith("Trainer.run")
    assert Retrain(Trainer(0.2).run).fingerprint()["self.lr"] == 0.2

    def with_lr(mask, seed, *, lr=0.1, loader=EMPTY):
        return {"loss": lr}

    assert Retrain(functools.partial(with_lr, lr=0.3)).fingerprint()["argument.lr"] == 0.3
    assert "argument.loader" not in Retrain(with_lr).fingerprint()
    one, two = (lambda mask, seed: 1.0), (lambda m, s: 2.0)
    assert code_of(one)["code"] != code_of(two)["code"]
    assert code_of(one)["function"] == "<lambda>"
    one, two, three = (lambda mask, seed: 1.0), (lambda mask, seed: 2.0), (lambda mask, seed: mask[0])
    assert len({code_of(fn)["code"] for fn in (one, two, three)}) == 3


def test_a_configuration_counts_by_what_is_read_of_it():
    from argparse import Namespace

    def make(args):
        return lambda mask, seed: {"loss": args.lr}

    found = code_of(make(Namespace(lr=0.1, workers=2)))
    assert found["closure.args.lr"] == 0.1
    assert "closure.args.workers" not in found


def test_code_without_source_is_known_by_name():
    scope = {}
    exec("def hidden(mask, seed, lr=1): return {'loss': lr}", scope)
    assert code_of(scope["hidden"]) == {"function": "hidden", "argument.lr": 1}
    assert Retrain(max).fingerprint() == {"function": "max"}


def test_settings_and_version():
    found = Retrain(train, settings={"lr": np.float64(0.1), "data": {"version": 3}}, version=2).fingerprint()
    assert found == {"function": "train", "version": "2", "settings.lr": 0.1, "settings.data.version": 3}


def test_syntax_is_compared_not_layout():
    assert canonical(None) == "None"
    assert digest_of_source("x = 1  # one\n") == digest_of_source("'''Doc.'''\nx = (1)")
    assert digest_of_source("x = 1") != digest_of_source("x = 1.0")
    assert digest_of_source("not python") == digest_of_source("not python")


def test_digests_are_of_content():
    pd = pytest.importorskip("pandas")
    array = np.arange(6.0).reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array.astype(">f8"))
    assert digest(array) != digest(array.astype(np.float32))
    assert digest({"a": 1, "b": {2, 3}}) == digest({"b": {3, 2}, "a": 1})
    frame = pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    assert digest(frame) == digest(frame.copy()) != digest(frame.assign(x=3))
    assert digest(np.array(["a", None], object)) != digest(np.array(["b", None], object))
    endless = []
    endless.append(endless)
    assert digest(endless)
    assert described(float("inf")) == "inf"
    assert described("x" * 300).startswith("str ")
    assert described({"a": np.ones(2)}).startswith("dict ")
    assert flat({"a": np.ones(2)}, "settings") == {"settings.a": [1.0, 1.0]}


def test_digests_of_tensors_and_models():
    torch = pytest.importorskip("torch")
    half = torch.ones(3, dtype=torch.bfloat16)
    assert digest(half) == digest(half.clone()) != digest(half.float())
    assert digest(torch.zeros(0)) != digest(torch.zeros(1))
    model = torch.nn.Linear(2, 2)
    before = digest(model)
    with torch.no_grad():
        model.weight += 1
    assert digest(model) != before
