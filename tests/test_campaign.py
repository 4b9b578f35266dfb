"""`evaluate`: the same table whatever happens on the way, and nothing paid twice."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import interplay as ip
from interplay import Store, evaluate
from interplay.campaign import EvaluationsFailed, Interrupted
from interplay.store import Filter
from tests.evaluators import DESIGN, TASKS, Additive, code, truth

ROOT = Path(__file__).parent.parent


def same(runs, design=DESIGN, seeds=(0,)):
    """The table is the whole one, in the order that was asked for."""
    rows, which = np.tile(design, (len(seeds), 1)), np.repeat(seeds, len(design))
    np.testing.assert_array_equal(runs.masks, rows)
    np.testing.assert_array_equal(runs.seed, which)
    np.testing.assert_array_equal(runs.values, truth(rows, which))
    return True


# ---------------------------------------------------------------- what comes back


def test_rows_come_seed_by_seed_with_names_facts_and_seconds():
    runs = evaluate(Additive(0.01, higher_is_better=(True,)), DESIGN, seeds=[3, 5])
    assert same(runs, seeds=(3, 5))
    assert (runs.tasks, runs.targets, runs.higher_is_better) == (TASKS, ("loss",), (True,))
    assert set(runs.fidelity) == {"retrained"}
    assert set(runs.origin) == {"Additive"}
    assert runs.notes == {"coupled": True, "absent_tasks": "fixed_steps"}
    assert (runs.cost >= 0.01).all()


def test_tasks_without_names_are_numbered():
    runs = evaluate(Additive(tasks=None), DESIGN)
    assert runs.tasks == ("task_0", "task_1", "task_2", "task_3")


def test_a_direction_of_no_target_is_said_with_the_first_result(tmp_path):
    counted = Additive(targets=None, higher_is_better=["acc"])

    def evaluated(masks, seeds):
        counted.targets = ("loss",)
        counted.calls.append(masks)
        return truth(masks, seeds)

    counted.evaluate = evaluated
    with pytest.raises(ValueError, match="no target is called 'acc'"):
        evaluate(counted, DESIGN, store=tmp_path / "runs.db")
    assert len(counted.calls) == 1
    assert Store(tmp_path / "runs.db").problems()[0][1]["done"] == 1


def test_a_mask_listed_twice_is_evaluated_once():
    counted = Additive()
    runs = evaluate(counted, np.vstack([DESIGN, DESIGN[:2]]))
    assert same(runs)
    assert len(counted.calls) == len(DESIGN)
    assert runs.warnings == ("2 of 13 masks are listed twice; each was evaluated once.",)


@pytest.mark.parametrize("batch", [1, 4, 100])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_table_is_the_same_for_any_batch_and_number_of_workers(tmp_path, batch, workers):
    runs = evaluate(Additive(batch=batch), DESIGN, seeds=2, workers=workers, store=tmp_path / "runs.db")
    assert same(runs, seeds=(0, 1))


def test_batches_are_as_large_as_the_evaluator_says():
    counted = Additive(batch=4)
    evaluate(counted, DESIGN, seeds=2)
    assert [len(masks) for masks, _ in counted.calls] == [4, 4, 4, 4, 4, 2]


def test_what_is_in_the_store_is_not_evaluated_again(place):
    evaluate(Additive(), DESIGN[:4], store=place)
    counted = Additive()
    assert same(evaluate(counted, DESIGN, seeds=2, store=place), seeds=(0, 1))
    assert len(counted.calls) == 2 * len(DESIGN) - 4
    assert same(evaluate(Additive(fails=range(16)), DESIGN, store=place))


def test_functions_of_a_script_need_no_guard_to_run_in_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import interplay as ip\n"
        "LOSSES = {'a': 1.0, 'b': 0.5}\n"
        "def train(mask, seed):\n"
        "    return {'loss': 2 - sum(w * m for w, m in zip(LOSSES.values(), mask)) + seed}\n"
        "runs = ip.evaluate(ip.evaluators.Retrain(train), ip.masks.leave_one_out(2), seeds=2, workers=2, "
        "store='runs.db')\n"
        "print(runs.values.ravel().tolist())\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[0.5, 1.5, 1.0, 1.5, 2.5, 2.0]\n", done.stderr


def test_an_executor_of_the_user_is_taken(tmp_path):
    with ThreadPoolExecutor(2) as executor:
        assert same(evaluate(Additive(0.01), DESIGN, workers=2, executor=executor))
        with pytest.raises(ValueError, match="timeout cannot be kept with an executor of yours"):
            evaluate(Additive(), DESIGN, executor=executor, timeout=1)
    with pytest.raises(TypeError, match="executor is 'dask'; give None"):
        evaluate(Additive(), DESIGN, executor="dask")


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"retries": -1}, {"timeout": 0}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        evaluate(Additive(), DESIGN, **arguments)


def test_an_evaluator_that_cannot_be_sent_says_so():
    with pytest.raises(TypeError, match=r"Additive cannot be sent to another process .* workers=1"):
        evaluate(Additive(lock=threading.Lock()), DESIGN, workers=2)


def test_a_store_needs_a_fingerprint(tmp_path):
    class Bare:
        tasks, targets, fidelity = TASKS, ("loss",), "small"
        evaluate = staticmethod(truth)

    assert same(evaluate(Bare(), DESIGN))
    with pytest.raises(TypeError, match="lacks fingerprint"):
        evaluate(Bare(), DESIGN, store=tmp_path / "runs.db")


# ---------------------------------------------------------------- failures


def test_the_good_rows_of_a_failed_batch_are_kept(tmp_path):
    runs = evaluate(Additive(batch=100, fails=(7,), diverges=(11,)), DESIGN, store=tmp_path / "runs.db", retries=0)
    kept = [code(mask) not in (7, 11) for mask in DESIGN]
    assert same(runs, DESIGN[kept])
    assert "2 of 11 evaluations failed and are left out" in runs.warnings[0]
    assert "`interplay runs" in runs.warnings[0]
    errors = Store(tmp_path / "runs.db").frame(which=Filter(status=["failed"]))["error"]
    assert "RuntimeError: out of luck" in errors.iloc[0]
    assert "not finite: target 'loss' is nan" in errors.iloc[1]


def test_a_failure_is_tried_again(tmp_path):
    calls = []

    def flaky(masks, seeds):
        calls.append(code(masks[0]))
        if calls.count(code(masks[0])) < 3:
            raise RuntimeError("out of luck")
        return truth(masks, seeds)

    first = np.ones((1, 4))
    evaluate(Additive(), first, store=tmp_path / "runs.db")  # one success: the mistake is in the masks
    assert same(evaluate(Additive(evaluate=flaky), DESIGN, store=tmp_path / "runs.db", retries=2))


def test_where_nothing_works_little_is_tried():
    broken = Additive(fails=range(16))
    with pytest.raises(EvaluationsFailed, match=r"(?s)first 3 evaluations failed, none succeeded.*out of luck"):
        evaluate(broken, DESIGN, seeds=10)
    assert len(broken.calls) == 3
    with pytest.raises(
        EvaluationsFailed, match=r"all 2 evaluations failed; .* with a store \(store=, --store\)\. The last"
    ):
        evaluate(Additive(fails=range(16)), DESIGN[:2], retries=0)


def test_why_is_in_the_first_line(tmp_path):
    place = tmp_path / "my runs.db"
    with pytest.raises(EvaluationsFailed) as error:
        evaluate(Additive(fails=range(16)), DESIGN[:1], store=place, retries=0)
    first, *below = str(error.value).split("\n")
    assert first.startswith(f"the evaluation failed; to try it again: `interplay runs '{place}' --retry`. The failure:")
    assert first.endswith("RuntimeError: out of luck")
    assert below[0].startswith("Traceback")
    with pytest.raises(
        EvaluationsFailed, match=r"nothing more is tried\. The last failure: RuntimeError: out of luck\nTrace"
    ):
        evaluate(Additive(fails=range(16)), DESIGN)


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("no room", "exit code 3: no room"),
        ("epoch 1\nno room", "exit code 3: no room\nThe last of its output:\nepoch 1\nno room"),
        ("", "exit code 3. It printed nothing."),
    ],
)
def test_a_command_says_its_last_words_in_the_first_line(printed, words):
    script = f"import sys; print({printed!r}); sys.exit(3)"
    command = ip.evaluators.CommandRetrain(["{python}", "-c", script, "{weights}", "{result}"], targets=["loss"])
    with pytest.raises(EvaluationsFailed) as error:
        evaluate(command, DESIGN[:1], retries=0)
    assert str(error.value).endswith(f"The failure: the command ended with {words}")


def test_a_script_that_exits_has_failed():
    class Exits(Additive):
        def evaluate(self, masks, seeds):
            if code(masks[0]) == 7:
                sys.exit("no data")
            return truth(masks, seeds)

    runs = evaluate(Exits(), DESIGN, retries=0)
    assert runs.m == len(DESIGN) - 1
    assert "no data" in runs.warnings[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.ones((1, 2)), r"returned shape \(1, 2\) for 1 masks and 1 targets; it must return \(1, 1\)"),
        (np.full((1, 1), np.inf), "not finite: target 'loss' is inf"),
        (np.full((1, 1), "x"), "could not convert string to float"),
    ],
)
def test_values_that_are_none_are_failures(values, words):
    with pytest.raises(EvaluationsFailed, match=words):
        evaluate(Additive(evaluate=lambda masks, seeds: values), DESIGN)


def test_other_targets_than_before_are_failures():
    class Wanders(Additive):
        def evaluate(self, masks, seeds):
            values = truth(masks, seeds)
            self.targets = {7: ("acc",), 11: ("acc", "loss")}.get(code(masks[0]), ("loss", "acc"))
            return np.hstack([values, values + 1])[:, [["loss", "acc"].index(t) for t in self.targets]]

    runs = evaluate(Wanders(targets=None), DESIGN, retries=0)
    assert runs.targets == ("loss", "acc")
    loss = truth(runs.masks, runs.seed)
    np.testing.assert_array_equal(runs.values, np.hstack([loss, loss + 1]))  # those of 11 in their order
    assert runs.m == len(DESIGN) - 1
    assert "lacks the target 'loss'" in runs.warnings[0]


def test_a_process_that_dies_fails_its_row_alone(tmp_path):
    runs = evaluate(Additive(batch=4, kills=(7,)), DESIGN, workers=2, store=tmp_path / "runs.db", retries=1)
    assert same(runs, DESIGN[[code(mask) != 7 for mask in DESIGN]])
    assert "ended by signal SIGKILL; out of memory?" in runs.warnings[0]
    assert Store(tmp_path / "runs.db").frame(which=Filter(status=["failed"]))["attempts"].item() == 2


def test_an_evaluation_that_hangs_is_ended():
    began = time.monotonic()
    runs = evaluate(Additive(hangs=(7,)), DESIGN, timeout=1.0, retries=0)
    assert same(runs, DESIGN[[code(mask) != 7 for mask in DESIGN]])
    assert "took longer than timeout=1 s" in runs.warnings[0]
    assert time.monotonic() - began < 60


def test_the_global_generators_are_left_alone(tmp_path):
    def train(mask, seed):
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        return {"loss": float(np.random.rand() + mask.sum())}  # noqa: NPY002

    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    evaluate(ip.evaluators.Retrain(train), DESIGN, store=tmp_path / "runs.db")
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


# ---------------------------------------------------------------- stopping


def script(place, **options):
    """Return a program that evaluates the design, 20 ms a row, under three seeds."""
    how = {"seconds": 0.02, "workers": 1, "retries": 1, **options}
    return (
        "import sys, logging; logging.basicConfig(level=20)\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from interplay import evaluate, Store\n"
        "from tests.evaluators import Additive, DESIGN\n"
        f"evaluator = Additive({how['seconds']}, batch={how.get('batch', 1)}, log={how.get('log')!r})\n"
        f"evaluate(evaluator, DESIGN, seeds=3, workers={how['workers']}, store=Store({str(place)!r}, patience=5))\n"
        "print('through')"
    )


def started(program):
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(place, n):
    """Wait until so many runs are done."""
    for _ in range(2400):  # a busy machine starts slowly
        if "://" in str(place) or Path(place).exists():
            with Store(place) as store:
                if sum(count["done"] for _, count in store.problems()) >= n:
                    return
        time.sleep(0.05)
    raise AssertionError("nothing is done")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_says_how_to_go_on(tmp_path, number, workers):
    place = tmp_path / "runs.db"
    running = started(script(place, workers=workers, seconds=0.1))
    wait_for(place, 3)
    running.send_signal(number)
    _, said = running.communicate(timeout=30)
    assert "evaluations are in" in said
    assert "run the same again to go on" in said
    assert running.returncode != 0
    if number == signal.SIGTERM:
        assert running.returncode == 143
    with Store(place) as store:
        (_, n) = store.problems()[0]
    assert n["running"] == n["failed"] == 0
    assert n["done"] >= 3
    assert same(evaluate(Additive(), DESIGN, seeds=3, store=place), seeds=(0, 1, 2))


def test_a_training_that_swallows_the_interruption_does_not_count(tmp_path):
    calls = []

    def swallows(masks, seeds):
        calls.append(masks)
        if len(calls) % 4 == 0:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
            except KeyboardInterrupt:
                return np.zeros((1, 1))  # half a training
        return truth(masks, seeds)

    with pytest.raises(Interrupted, match="stopped: 3 of 11 evaluations are in"):
        evaluate(Additive(evaluate=swallows), DESIGN, store=tmp_path / "runs.db")
    with pytest.raises(Interrupted, match="without a store nothing is kept"):
        evaluate(Additive(evaluate=swallows), DESIGN)
    assert same(evaluate(Additive(), DESIGN, store=tmp_path / "runs.db"))


def test_ten_kills_lose_at_most_the_batch_in_flight(tmp_path):
    """A worker of one process, and one of two, killed at random moments, until the table is complete."""
    place, log, rng = tmp_path / "runs.db", tmp_path / "log", np.random.default_rng(0)
    kills, before = 0, 0
    while kills < 10:
        running = started(script(place, workers=1 + kills % 2, batch=2, seconds=0.05, log=str(log)))
        time.sleep(0.6 + 0.6 * rng.random())
        running.kill()
        out, _ = running.communicate(timeout=30)
        if not place.exists():
            continue
        kills += 1
        with Store(place) as store:
            n = store.problems()[0][1] if store.problems() else {"done": 0, "running": 0}
        assert n["done"] >= before  # nothing that was there is gone
        before = n["done"]
        if "through" in out:
            break
    assert same(evaluate(Additive(log=str(log)), DESIGN, seeds=3, store=place), seeds=(0, 1, 2))
    assert len(log.read_text().splitlines()) <= 3 * len(DESIGN) + kills * 2 * 2  # two batches of two rows in flight
    assert Store(place).frame()["status"].eq("done").all()


def test_children_end_with_a_parent_that_is_killed(tmp_path):
    running = started(script(tmp_path / "runs.db", workers=2, seconds=100))
    for _ in range(200):
        of_threads = Path(f"/proc/{running.pid}/task").glob("*/children")
        children = [child for path in of_threads for child in path.read_text().split()]
        if len(children) == 2:
            break
        time.sleep(0.05)
    assert len(children) == 2
    time.sleep(1.0)
    running.kill()
    running.wait()
    for _ in range(200):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.05)
    raise AssertionError("a worker outlives its parent")


# ---------------------------------------------------------------- several at once


def test_four_processes_on_one_store_evaluate_everything_once(place, tmp_path):
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import numpy as np\nfrom interplay import evaluate\nfrom tests.evaluators import Additive\n"
        "masks = np.random.default_rng(0).random((250, 4))\n"
        "evaluator = Additive(0.001)\n"
        f"runs = evaluate(evaluator, masks, seeds=2, store={place!r})\n"
        "print(runs.m, len(evaluator.calls))"
    )
    running = [started(program) for _ in range(4)]
    said = [process.communicate(timeout=120) for process in running]
    assert all(out.startswith("500 ") for out, _ in said), said
    assert sum(int(out.split()[1]) for out, _ in said) == 500  # nothing twice
    with Store(place) as store:
        assert store.problems()[0][1]["done"] == 500


def test_what_another_process_left_claimed_is_taken_over_at_once(tmp_path):
    place = tmp_path / "runs.db"
    running = started(script(place, seconds=0.3))
    wait_for(place, 2)
    running.kill()
    running.wait()
    began = time.monotonic()
    assert same(evaluate(Additive(), DESIGN, seeds=3, store=place), seeds=(0, 1, 2))
    assert time.monotonic() - began < 20  # a minute of silence is not waited for


def test_what_another_machine_left_claimed_is_taken_over_when_it_is_silent(place):
    elsewhere = "import interplay.store.claims as claims; claims.here = lambda: 'elsewhere'\n"
    running = started(elsewhere + script(place, seconds=0.3))
    wait_for(place, 2)
    running.kill()
    running.wait()
    with Store(place, patience=3) as store:
        began = time.monotonic()
        assert same(evaluate(Additive(), DESIGN, seeds=3, store=store), seeds=(0, 1, 2))
        assert time.monotonic() - began > 1  # it might have been alive
        assert store.frame()["worker"].str.startswith("elsewhere").sum() >= 2


# ---------------------------------------------------------------- progress


def test_progress_is_told():
    seen = []
    evaluate(Additive(batch=4), DESIGN, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 11)
    assert seen[-1] == (11, 11)
    assert seen == sorted(seen)


def test_progress_without_a_terminal_is_a_line_a_minute(capsys, monkeypatch):
    from interplay import progress

    monkeypatch.setattr(progress, "QUIET", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.1)
    evaluate(Additive(0.05, fails=(7,)), DESIGN, retries=0)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 8
    assert all(line.startswith("interplay: ") and " of 11 evaluations, " in line for line in lines)
    assert "1 failed" in lines[-1]
    evaluate(Additive(0.05), DESIGN, progress=False)
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------- found by a review


def test_weights_that_are_no_mixtures_are_weights(tmp_path):
    design = [[0.5, 0.3, 0, 0], [1, 0, 0, 0]]
    assert evaluate(Additive(), design, store=tmp_path / "runs.db").kind == "weights"
    assert evaluate(Additive(), [[-0.5, 1, 0, 0], [1, 1, 0, 0]]).kind == "coefficients"


@pytest.mark.parametrize(
    ("facts", "error", "words"),
    [
        ({"tasks": ("a", "a", "b", "c")}, ValueError, "tasks names 'a' twice"),
        ({"targets": ("loss", "loss")}, ValueError, "targets names 'loss' twice"),
        ({"targets": ()}, ValueError, "there are no targets"),
        ({"targets": "loss"}, TypeError, "targets of Additive is 'loss'; give a sequence of names"),
        ({"tasks": (1, 2, 3, 4)}, TypeError, "1 is the name of a task or target"),
        ({"batch": None}, TypeError, "batch of Additive is None"),
        ({"fidelity": 5}, TypeError, "fidelity is 5; give text"),
        ({"fidelity": "x" * 201}, ValueError, "at most 200 characters"),
    ],
)
def test_names_of_which_no_table_can_be_built_are_refused_before_anything_is_paid(facts, error, words):
    asked = Additive(batch=1)
    for name, value in facts.items():
        setattr(asked, name, value)
    with pytest.raises(error, match=words):
        evaluate(asked, DESIGN)
    assert asked.calls == []


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"workers": "2"}, "workers is '2'; give a whole number >= 1"),
        ({"retries": 1.5}, "retries is 1.5; give a whole number >= 0"),
        ({"timeout": "3"}, "timeout is '3'; give seconds"),
        ({"tag": None}, "tag is None; give text"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(how, words):
    with pytest.raises(TypeError, match=words):
        evaluate(Additive(), DESIGN, **how)
    with pytest.raises(TypeError, match=r"evaluator is the class Additive; pass an object"):
        evaluate(Additive, DESIGN)
    with pytest.raises(ValueError, match="the largest is 2"):
        evaluate(Additive(), DESIGN, seeds=[2**63])


def test_learnt_targets_that_are_no_names_are_failures():
    class Odd(Additive):
        def evaluate(self, masks, seeds):
            self.targets = ("",)
            return truth(masks, seeds)

    with pytest.raises(EvaluationsFailed, match="targets holds an empty name"):
        evaluate(Odd(targets=None), DESIGN)


def test_of_a_batch_that_takes_too_long_the_good_rows_are_kept():
    runs = evaluate(Additive(batch=3, hangs=(7,)), DESIGN[:6], timeout=0.5, retries=0)
    assert same(runs, DESIGN[:6][[code(mask) != 7 for mask in DESIGN[:6]]])


def test_one_mask_is_tried_as_often_as_was_asked():
    calls = []

    def fifth(masks, seeds):
        calls.append(1)
        if len(calls) < 5:
            raise RuntimeError("out of luck")
        return truth(masks, seeds)

    assert same(evaluate(Additive(evaluate=fifth), DESIGN[:1], retries=5), DESIGN[:1])


def test_notes_that_are_none_are_dropped_and_said(caplog):
    def evaluated(masks, seeds):
        asked.notes = {"model": object()}
        return truth(masks, seeds)

    asked = Additive(evaluate=evaluated)
    assert same(evaluate(asked, DESIGN))
    assert "notes cannot be written as JSON" in caplog.text
    arrays = Additive(notes={"scale": np.arange(3)})
    assert evaluate(arrays, DESIGN).notes == {"scale": [0, 1, 2]}


def test_what_a_function_may_do_to_its_process_fails_its_row_alone():
    class Wild(Additive):
        def evaluate(self, masks, seeds):
            which = code(masks[0])
            if which == 7:
                raise KeyboardInterrupt
            if which == 11:
                os._exit(3)
            if which == 13:
                for number in range(3, 12):
                    with contextlib.suppress(OSError):
                        os.write(number, b"garbage")
            if which == 14 and os.fork() == 0:
                time.sleep(20)
                os._exit(0)
            if which == 14:
                os.kill(os.getpid(), signal.SIGKILL)
            return truth(masks, seeds)

    began = time.monotonic()
    runs = evaluate(Wild(), DESIGN, workers=2, retries=0)
    assert same(runs, DESIGN[[code(mask) not in (7, 11, 14) for mask in DESIGN]])
    assert time.monotonic() - began < 15  # a fork that lives on is not waited for


def test_what_left_the_group_is_ended_with_its_worker(tmp_path):
    pid = tmp_path / "pid"

    def starts(masks, seeds):
        started = subprocess.Popen(["sleep", "100"], start_new_session=True)
        pid.write_text(str(started.pid))
        time.sleep(100)

    with pytest.raises(EvaluationsFailed, match="took longer"):
        evaluate(Additive(evaluate=starts), DESIGN[:1], timeout=1.0, retries=0)
    for _ in range(100):
        state = Path(f"/proc/{pid.read_text()}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("it lives on")


def test_a_command_of_another_python_sees_its_own_packages(tmp_path):
    command = ["{python}", "-S", "-c", "import json, os, sys; print(os.environ.get('PYTHONPATH'));"
               "json.dump(dict(loss=1), open(sys.argv[1], 'w'))", "{result}", "{weights}"]  # fmt: skip
    place = tmp_path / "runs.db"
    evaluate(ip.evaluators.CommandRetrain(command), DESIGN[:1], store=place)
    assert Store(place).run(1)[1]["output"] == f"{os.environ.get('PYTHONPATH')}\n"


def test_a_password_in_a_failure_is_in_no_error(postgresql):
    def leaks(masks, seeds):
        raise RuntimeError("cannot connect with s3cr3t@word")

    with pytest.raises(EvaluationsFailed, match=r"connect with \*\*\*") as caught:
        evaluate(Additive(evaluate=leaks), DESIGN, store=postgresql.empty())
    assert "s3cr3t" not in str(caught.value)


def test_progress_that_nobody_reads_ends_nothing(monkeypatch):
    from interplay import progress

    monkeypatch.setattr(progress, "QUIET", 0.0)
    monkeypatch.setattr(sys, "stderr", None)
    assert same(evaluate(Additive(0.02), DESIGN))
