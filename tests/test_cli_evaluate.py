"""The verb `evaluate`: a script becomes a store of runs, is stopped and goes on, and fails with words."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interplay import Evaluations, Store
from interplay.formats.points import read_design
from tests.command_line import refused, stored

SCRIPT = """
import json, sys, time
mask = json.load(open(sys.argv[1]))
w, seed = mask["weights"], mask["seed"]
{lines}
json.dump({{"loss": 2 - w["a"] + .5 * w["b"] + seed / 10, "acc": w["a"] / 2}}, open(sys.argv[2], "w"))
"""
COMMAND = f"{sys.executable} train.py {{mask_file}} {{result}}"
OWN = ["--for", "leave-one-out", "--tasks", "a,b,c", "--store", "runs.db", "--command", COMMAND]
WANTED = ["--retries", "0", "--trained", "fixed-steps", "--coupled", "--higher-is-better", "acc"]


def write(lines="", name="train.py"):
    Path(name).write_text(SCRIPT.format(lines=lines))


def test_a_design_is_trained_by_a_script_and_attributed(shell):
    write("print('training on', *mask['tasks'])\nif w == {'a': 1, 'b': 1, 'c': 0}: raise SystemExit('no room')")
    assert shell("design", "--tasks", "a,b,c", "--runs", "7", "--for", "shapley", "--out", "masks.csv")[0] == 0
    words = ["evaluate", "masks.csv", "--store", "runs.db", "--command", COMMAND, "--seeds", "4,7", "--workers", "2"]
    code, out, err = shell(*words, *WANTED)
    assert code == 0, err
    end = "12 of 14 evaluations are done, 2 failed (interplay runs runs.db --status failed). Next: interplay attribute"
    assert out == f"runs.db: {end} runs.db\n"
    assert "Note: 2 of 14 evaluations failed and are left out (no room)" in err
    runs = Evaluations.read("runs.db")
    assert set(runs.seed) == {4, 7}
    assert runs.notes == {"coupled": True, "absent_tasks": "fixed_steps"}
    assert dict(zip(runs.targets, runs.higher_is_better, strict=True)) == {"loss": False, "acc": True}
    np.testing.assert_allclose(runs.values[:, 0], 2 - runs.masks @ [1, -0.5, 0] + runs.seed / 10)
    assert shell("attribute", "runs.db", "--target", "loss")[0] == 0
    assert "  no room" in shell("runs", "runs.db", "--show", str(failed(shell)[0]["run"]))[1]
    again = shell(*words, *WANTED)
    assert (again[0], again[1]) == (0, out)


def test_rows_are_run_under_the_seeds_that_their_file_states(shell):
    write("print('training on', *mask['tasks'])")
    rows = [([1, 1, 0], 5), ([1, 0, 1], 5), ([0, 1, 1], 9), ([1, 1, 0], 9), ([1, 1, 1], 9)]
    table = pd.DataFrame([[*mask, seed] for mask, seed in rows], columns=["a", "b", "c", "seed"])
    table.to_csv("next.csv", index=False)
    words = ["evaluate", "next.csv", "--store", "runs.db", "--command", COMMAND]
    assert "5 of 5 evaluations are done." in shell(*words)[1]
    runs = Evaluations.read("runs.db")
    assert sorted(zip(runs.masks.tolist(), runs.seed.tolist(), strict=True)) == sorted(rows)
    np.testing.assert_allclose(runs.values[:, 0], 2 - runs.masks @ [1, -0.5, 0] + runs.seed / 10)
    assert "8 of 8 evaluations" in shell(*words, "--seeds", "1,2")[1]  # what is said goes before what is stated
    table.assign(seed=[5, 5, 9, -1, 9]).to_csv("next.csv", index=False)
    refused(shell(*words), "MASKS", "next.csv", "'seed'", "-1 in row 4", "--seeds")


def test_rows_of_another_fidelity_are_left(shell):
    write()
    table = pd.DataFrame([[1, 1, 0, 5], [1, 0, 1, 6], [0, 1, 1, 5], [1, 1, 1, 5]], columns=["a", "b", "c", "seed"])
    table.assign(fidelity=["large", "small", "large", "small"]).to_csv("next.csv", index=False)
    words = ["evaluate", "next.csv", "--store", "runs.db", "--command", COMMAND]
    refused(shell(*words), "MASKS", "several fidelities (2 large, 2 small)", "--fidelity says which")
    refused(shell(*words, "--fidelity", "tiny"), "several fidelities (2 large, 2 small)")
    code, out, err = shell(*words, "--fidelity", "small")
    assert (code, out.startswith("runs.db: 2 of 2 evaluations are done.")) == (0, True)
    assert "Note: of the rows of MASKS (2 large, 2 small) those of fidelity small are evaluated." in err
    runs = Evaluations.read("runs.db", min_runs=1)
    assert sorted(zip(runs.masks.tolist(), runs.seed.tolist(), strict=True)) == [([1, 0, 1], 6), ([1, 1, 1], 5)]
    assert set(runs.fidelity) == {"small"}
    table.assign(fidelity="large").to_csv("next.csv", index=False)
    assert shell(*words)[0] == 0  # one for all: it needs no option
    with Store("runs.db") as store:
        assert {problem.fidelity for problem, _ in store.problems()} == {"small", "large"}
    table.assign(fidelity=["large", None, "large", "small"]).to_csv("next.csv", index=False)
    refused(shell(*words), "'fidelity' is empty in row 2")


def failed(shell):
    return [json.loads(line) for line in shell("runs", "runs.db", "--status", "failed", "--json")[1].splitlines()]


def test_failed_runs_are_evaluated_again_after_retry(shell):
    write("import os\nif not w['c'] and not os.path.exists('mended'): sys.exit('cannot')")
    assert "3 of 4 evaluations are done, 1 failed" in shell("evaluate", *OWN, "--retries", "0")[1]
    assert len(failed(shell)) == 1
    Path("mended").touch()
    assert shell("runs", "runs.db", "--retry")[0] == 0
    assert shell("evaluate", *OWN)[1] == "runs.db: 4 of 4 evaluations are done.\n"
    assert failed(shell) == []


def test_what_is_stated_reaches_the_store(shell):
    write()
    more = [
        "--tag",
        "mine",
        "--fidelity",
        "70m",
        "--target",
        "acc",
        "--target",
        "loss",
        "--not-coupled",
        "--seeds",
        "2",
    ]
    code, out, err = shell("evaluate", *OWN, *more, "--timeout", "60", "--trained", "fixed-epochs")
    assert (code, err) == (0, "")
    assert out == "runs.db: 8 of 8 evaluations are done. Next: interplay attribute runs.db --tag mine\n"
    with Store("runs.db") as store:
        ((problem, _),) = store.problems()
        assert (problem.tag, problem.fidelity, problem.targets) == ("mine", "70m", ("acc", "loss"))
        assert problem.notes == {"coupled": False, "absent_tasks": "fixed_epochs"}


def test_ray_is_handed_on(shell, monkeypatch):
    asked = {}

    def evaluate(evaluator, masks, **how):
        asked.update(how)
        return Evaluations.from_arrays(np.ones((1, 3)), [1.0])

    monkeypatch.setattr("interplay.campaign.evaluate", evaluate)
    shell("evaluate", *OWN, "--executor", "ray", "--workers", "3", "--retries", "2", "--timeout", "5")
    workers = {"workers": 3, "executor": "ray", "retries": 2, "timeout": 5.0}
    assert asked == {"seeds": 1, "store": "runs.db", "tag": "", "accept_changed": False, **workers}


# ---------------------------------------------------------------- stopped


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_call_says_how_to_go_on_and_goes_on(shell, number, code):
    write("open('begun', 'a').write('.')\ntime.sleep(.3 if len(mask['tasks']) == 3 else 60)")
    call = [sys.executable, "-c", "from interplay.cli import main; main()", "evaluate", *OWN]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 30
    while (not Path("begun").exists() or len(Path("begun").read_text()) < 2) and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "1 of 4 evaluations are in runs.db; run the same again to go on." in err
    assert "Traceback" not in out + err
    with Store("runs.db") as store:
        assert store.problems()[0][1] == {"queued": 3, "running": 0, "done": 1, "failed": 0}


# ---------------------------------------------------------------- what goes wrong


def test_a_script_that_always_fails_is_an_error_with_its_last_words(shell):
    write("print('\\x1b[31mred')\nraise ValueError('no data')")
    code, out, err = shell("evaluate", *OWN)
    assert (code, out) == (1, "")
    assert err.startswith("interplay: the first 3 evaluations failed")
    assert err.rstrip().endswith("ValueError: no data")
    assert "\x1b" not in err
    assert "interplay/campaign.py" not in err


def test_another_problem_under_the_same_tag_is_refused(shell):
    write()
    stored("runs.db")
    refused(shell("evaluate", *OWN), "runs.db holds other runs", "evaluator: Additive in the store, CommandRetrain now")
    assert shell("evaluate", *OWN, "--tag", "mine")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["give MASKS", "--for leave-one-out"]),
        (["masks.csv", "--for", "leave-one-out"], ["give MASKS", "--for leave-one-out"]),
        (["--for", "leave-one-out"], ["--tasks"]),
        (["--for", "shapley", "--tasks", "a,b"], ["--for shapley", "interplay design"]),
        (["none.csv"], ["MASKS", "'none.csv' does not exist"]),
        (["masks.csv", "--tasks", "a,z"], ["MASKS", "no column for 1 of 2 tasks: z"]),
        (["masks.csv", "--seeds", "some"], ["--seeds some", "100,101"]),
        (["masks.csv", "--seeds", "0"], ["seeds is 0"]),
        (["masks.csv", "--trained", "long"], ["--trained long", "fixed-steps or fixed-epochs"]),
        (["masks.csv", "--coupled", "--not-coupled"], ["--coupled and --not-coupled"]),
        (["masks.csv", "--executor", "slurm"], ["--executor slurm", "ray"]),
        (["masks.csv", "--target", "loss", "--higher-is-better", "acc"], ["--higher-is-better", "'acc'", "'loss'"]),
        (["masks.csv", "--timeout", "-1"], ["timeout is -1"]),
        (["masks.csv", "--command", "train"], ["{result}"]),
        (["masks.csv", "--store", "none/runs.db"], ["folder 'none' does not exist"]),
    ],
)
def test_bad_options(shell, words, said):
    pd.DataFrame({"run": ["x", "y"], "a": [1, 0], "b": [1, 1]}).to_csv("masks.csv", index=False)
    given = ["--store", "runs.db", "--command", COMMAND, *words]
    refused(shell("evaluate", *given), *said)


# ---------------------------------------------------------------- designs


@pytest.mark.parametrize(
    ("frame", "tasks", "found"),
    [
        ({"run": ["x", "y"], "a": [1, 0], "b": [1, 1]}, None, (("a", "b"), [[1, 1], [0, 1]])),
        ({"b": [0.5, 0.2], "a": [0.5, 0.8], "seed": [1, 1]}, None, (("b", "a"), [[0.5, 0.5], [0.2, 0.8]])),
        ({"b": [1, 0], "a": [0, 1], "loss": [0.3, 0.4]}, ["a", "b"], (("a", "b"), [[0, 1], [1, 0]])),
        ({"task:seed": [1, 0], "a": [0, 1], "target:lower:loss": [0.3, 0.4]}, None, (("seed", "a"), [[1, 0], [0, 1]])),
        ({"name": ["x", "x", "y"], "task": ["a", "b", "a"], "weight": [1, 2, 3]}, None, (("a", "b"), [[1, 2], [3, 0]])),
        ({"a": [-0.5, 1.5], "b": [0.5, 0.1]}, None, (("a", "b"), [[-0.5, 0.5], [1.5, 0.1]])),
    ],
)
def test_designs_of_every_form_are_read(tmp_path, frame, tasks, found):
    path = tmp_path / "masks.csv"
    pd.DataFrame(frame).to_csv(path, index=False)
    names, masks = read_design(path, tasks)
    assert names == found[0]
    np.testing.assert_array_equal(masks, found[1])


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"a": [1, 0], "b": [1, 1], "loss": [0.3, 0.4]}, ["'loss' cannot be a task", "--tasks"]),
        ({"a": [1, 0], "b": ["x", 1]}, ["'b'", "'x'", "no number"]),
        ({"a": [1, 0], "b": [None, 1]}, ["row 1", "'b'"]),
        ({"run": [1, 2], "seed": [0, 0]}, ["no column for a task"]),
    ],
)
def test_columns_that_cannot_be_tasks_are_refused(tmp_path, frame, words):
    path = tmp_path / "masks.csv"
    pd.DataFrame(frame).to_csv(path, index=False)
    with pytest.raises(ValueError, match="masks") as error:
        read_design(path)
    for word in words:
        assert word in str(error.value)


def test_a_script_that_changed_is_refused_unless_that_is_accepted(shell):
    write()
    shell("evaluate", *OWN, "--seeds", "1")
    write("unused = 1")
    refused(shell("evaluate", *OWN, "--seeds", "2"), "files.train.py", "--accept-changed")
    code, _, err = shell("evaluate", *OWN, "--seeds", "2", "--accept-changed")
    assert code == 0, err


def test_the_script_of_the_readme_is_trained_and_attributed(shell):
    text = (Path(__file__).parent.parent / "README.md").read_text()
    Path("train.py").write_text("# train.py:" + text.split("# train.py:", 1)[1].split("```", 1)[0])
    rng = np.random.default_rng(0)
    for name in ("web", "code", "math", "wiki", "books", "test"):
        X = rng.normal(size=(100, 4))
        y = X @ [1, -1, 0.5, 0] + rng.normal(size=100) > 0
        np.savetxt(f"{name}.csv", np.column_stack([X, y != (name == "books")]), delimiter=",")
    words = ["evaluate", "--for", "leave-one-out", "--tasks", "web,code,math,wiki,books", "--workers", "2"]
    words += ["--store", "runs.db", "--command", f"{sys.executable} train.py --mask {{mask_file}} --out {{result}}"]
    code, out, err = shell(*words)
    assert (code, out) == (0, "runs.db: 6 of 6 evaluations are done. Next: interplay attribute runs.db\n"), err
    code, out, err = shell("attribute", "runs.db", "--target", "loss")
    assert code == 0, err
    assert out.index("books   -") > out.index("web")  # its labels are wrong
