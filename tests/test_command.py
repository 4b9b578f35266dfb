"""Retraining by a command: what it is given, what it may leave behind, and every way in which it can fail."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from interplay.evaluators.command import CommandRetrain
from interplay.evaluators.failures import EvaluationFailed

MASKS, SEEDS = np.array([[1.0, 0.0, 0.25], [0.0, 1.0, 1.0]]), np.array([3, 4])
COMMAND = "{python} script.py {mask_file} {result}"


@pytest.fixture
def script(tmp_path):
    """Write script.py with the given last lines; returns an evaluator that runs it."""

    def write(lines, command=COMMAND, **options):
        start = "import json, os, sys\nmask = json.load(open(sys.argv[1]))\nout = sys.argv[2]\n"
        (tmp_path / "script.py").write_text(start + textwrap.dedent(lines))
        return CommandRetrain(command, **({"cwd": tmp_path} | options))

    return write


def test_a_script_gets_a_mask_and_gives_targets(script, tmp_path):
    runs = script(
        """
        print("hello", mask["tasks"])
        print("to stderr", file=sys.stderr)
        assert sys.stdin.read() == ""
        json.dump({"loss": sum(mask["weights"].values()), "acc": mask["seed"]}, open(out, "w"))
        """,
        tasks=["a", "b", "c"],
        folder=tmp_path,
    )
    assert (runs.isolated, runs.batch, runs.targets) == (True, 1, None)
    np.testing.assert_array_equal(runs.evaluate(MASKS, SEEDS), [[1.25, 3], [2, 4]])
    assert runs.targets == ("loss", "acc")
    assert runs.outputs == ["hello ['a', 'c']\nto stderr\n", "hello ['b', 'c']\nto stderr\n"]
    assert os.listdir(tmp_path) == ["script.py"]  # nothing is left of the runs' own folders


def test_the_mask_file_names_tasks_that_have_no_name(script):
    runs = script("json.dump({k: v for k, v in mask['weights'].items()}, open(out, 'w'))")
    assert runs.evaluate(MASKS[:1], SEEDS[:1]).tolist() == [[1, 0, 0.25]]
    assert runs.targets == ("task_0", "task_1", "task_2")


def test_placeholders_stand_inside_arguments_and_no_shell_sees_them(tmp_path):
    code = "import json, sys; json.dump({'n': len(sys.argv)}, open(sys.argv[1], 'w')); print(sys.argv[2:])"
    words = ["--w={weights}", "{tasks}", "--seed={seed}", "$HOME; echo *", "{{x}}"]
    runs = CommandRetrain(["{python}", "-c", code.replace("{", "{{").replace("}", "}}"), "{result}", *words])
    runs.tasks = ("a b", "c", "d")
    runs.evaluate(MASKS[:1], SEEDS[:1])
    assert runs.outputs == ["['--w=1,0,0.25', 'a b,d', '--seed=3', '$HOME; echo *', '{x}']\n"]


def test_environment_and_folder(script, tmp_path):
    runs = script(
        "json.dump({'x': float(os.environ['FACTOR']), 'here': os.path.isfile('script.py')}, open(out, 'w'))",
        env={"FACTOR": "2.5"},
    )
    assert runs.evaluate(MASKS[:1], SEEDS[:1]).tolist() == [[2.5, 1]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("print('so far'); sys.exit(3)", r"ended with exit code 3.\nThe last of its output:\nso far"),
        ("raise RuntimeError('bad data')", r"exit code 1.*\n(.*\n)*RuntimeError: bad data"),
        ("json.dump({'loss': 1}, open(out, 'w')); sys.exit(1)", "exit code 1. It printed nothing"),
        ("open(out, 'w').write('{'); sys.exit(1)", "exit code 1"),
        ("os.kill(os.getpid(), 9)", r"was killed by SIGKILL \(out of memory\?\)"),
        ("print('x'); os.kill(os.getpid(), 15)", "was killed by SIGTERM"),
        ("print('done')", r"wrote no result; it must write a JSON object .*\nThe last of its output:\ndone"),
        ("open(out, 'w').write('loss=1')", r"is not JSON \(.*\); it begins with 'loss=1'"),
        ("open(out, 'w')", "is not JSON"),
        ("open(out, 'wb').write(bytes([255, 254]))", "cannot be read"),
        ("os.mkdir(out)", "cannot be read"),
        ("open(out, 'w').write('[1, 2]')", r"result is \[1, 2\]; it must be a JSON object"),
        ("json.dump([0] * 99, open(out, 'w'))", r"result is \[0, .*\.\.\.; it must be a JSON object"),
        ("json.dump({'loss': 1}, open(out, 'w'))", "lacks target 'acc'"),
        ("json.dump({'loss': 1, 'acc': 2, 'x': 3}, open(out, 'w'))", "unexpected target 'x'"),
        ("json.dump({'loss': float('nan'), 'acc': 1}, open(out, 'w'))", "target 'loss' .* is nan"),
        ("json.dump({'loss': 1, 'acc': float('inf')}, open(out, 'w'))", "target 'acc' .* is inf"),
        ("json.dump({'loss': '1', 'acc': 1}, open(out, 'w'))", r"target 'loss' .* is '1' \(str\)"),
        ("json.dump({'loss': None, 'acc': 1}, open(out, 'w'))", "target 'loss' .* is None"),
    ],
)
def test_failures_say_what_happened(script, tmp_path, lines, message):
    runs = script(lines, targets=["loss", "acc"], folder=tmp_path)
    with pytest.raises(EvaluationFailed, match=message) as caught:
        runs.evaluate(MASKS[:1], SEEDS[:1])
    assert runs.outputs == [caught.value.output]
    assert os.listdir(tmp_path) == ["script.py"]


def test_output_is_kept_whatever_its_bytes_and_size(script):
    runs = script(
        """
        sys.stdout.buffer.write(b"\\xff" + b"x" * 100_000 + b"\\x1b[31mend")
        json.dump({"loss": 1}, open(out, "w"))
        """
    )
    runs.evaluate(MASKS[:1], SEEDS[:1])
    assert len(runs.outputs[0]) == 2**16
    assert runs.outputs[0].endswith("x\x1b[31mend")
    runs = script("sys.stdout.buffer.write(b'\\xff'); sys.exit(2)")
    with pytest.raises(EvaluationFailed, match="\ufffd"):
        runs.evaluate(MASKS[:1], SEEDS[:1])


def test_a_command_that_cannot_be_started(tmp_path):
    runs = CommandRetrain("no-such-program {mask_file} {result}")
    with pytest.raises(EvaluationFailed, match="not found: 'no-such-program' is neither on the PATH nor a file"):
        runs.evaluate(MASKS[:1], SEEDS[:1])
    with pytest.raises(EvaluationFailed, match=r"Write \{python\} for the Python"):
        CommandRetrain("python2.1 {mask_file} {result}").evaluate(MASKS[:1], SEEDS[:1])
    (tmp_path / "plain.txt").write_text("x")
    with pytest.raises(EvaluationFailed, match=r"cannot be started: .*Permission denied"):
        CommandRetrain([str(tmp_path / "plain.txt"), "{weights}", "{result}"]).evaluate(MASKS[:1], SEEDS[:1])
    gone = tmp_path / "gone"
    gone.mkdir()
    runs = CommandRetrain("{python} {mask_file} {result}", cwd=gone)
    gone.rmdir()
    with pytest.raises(EvaluationFailed, match=r"cannot be started: .*gone"):
        runs.evaluate(MASKS[:1], SEEDS[:1])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "command is empty"),
        ([], "command is empty"),
        ("python 'train.py {mask_file} {result}", "cannot be split into arguments"),
        ("python train.py --mask {mask} --out {result}", r"placeholder \{mask\} .* not known. Known are \{mask_file\}"),
        ("python train.py {mask_file!r} {result}", "not known"),
        ("python train.py {seed:03d} {mask_file} {result}", "not known"),
        ("python train.py {mask_file}", r"command has no \{result\}"),
        (
            "python train.py {seed} {result}",
            r"none of \{mask_file\}, \{weights\}, \{tasks\}: every mask would run alike",
        ),
        ("python train.py } {mask_file} {result}", "double braces that are no placeholder"),
        (["python", 3, "{mask_file}", "{result}"], "int"),
    ],
)
def test_bad_commands_are_refused_at_once(command, message):
    with pytest.raises((ValueError, TypeError), match=message):
        CommandRetrain(command)


def test_bad_arguments_are_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"cwd is .*nowhere', which is no folder"):
        CommandRetrain(COMMAND, cwd=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="task 'a,b' has a comma"):
        CommandRetrain("run {tasks} {result}", tasks=["a,b", "c"])
    with pytest.raises(ValueError, match="absent_tasks is 'never'"):
        CommandRetrain(COMMAND, absent_tasks="never")
    with pytest.raises(ValueError, match=r"must be \(b, 2\)"):
        CommandRetrain(COMMAND, tasks=["a", "b"]).evaluate(MASKS, SEEDS)


# ---------------------------------------------------------------- which command it is


def test_fingerprint_is_of_the_command_its_scripts_and_settings(script, tmp_path):
    (tmp_path / "conf.yaml").write_text("lr: 1")
    (tmp_path / "data.csv").write_text("1")
    command = COMMAND + " --config=conf.yaml data.csv absent.py"
    runs = script("pass", command, settings={"lr": 0.1}, coupled=True)
    first = runs.fingerprint()
    assert set(first) == {"command", "files.script.py", "files.conf.yaml", "settings.lr"}
    assert first["command"].startswith("'{python}' script.py")
    json.dumps(first)

    def differing(runs):
        found = runs.fingerprint()
        return {key for key in first | found if first.get(key) != found.get(key)}

    assert not differing(script("pass  # a comment", command.split(), settings={"lr": 0.1}))
    assert differing(script("print()", command, settings={"lr": 0.1})) == {"files.script.py"}
    (tmp_path / "conf.yaml").write_text("lr: 2")
    assert differing(script("pass", command, settings={"lr": 0.2})) == {"files.conf.yaml", "settings.lr"}
    versioned = script("pass", command, version=1).fingerprint()
    assert set(versioned) == {"command", "version"}


def test_a_script_that_changes_while_runs_go_on_mixes_nothing(script, tmp_path):
    lines = "json.dump({'loss': 1}, open(out, 'w'))"
    runs = script(lines)
    runs.evaluate(MASKS[:1], SEEDS[:1])
    script(lines + "  # a comment changes nothing")
    runs.evaluate(MASKS[:1], SEEDS[:1])
    versioned = script(lines, version=1)
    script(lines.replace("1", "2"))
    assert versioned.evaluate(MASKS[:1], SEEDS[:1]).tolist() == [[2]]
    with pytest.raises(EvaluationFailed, match=r"script\.py changed since these runs began"):
        runs.evaluate(MASKS[:1], SEEDS[:1])


# ---------------------------------------------------------------- stopping


def test_the_command_shares_the_group_of_its_parent(script):
    runs = script("json.dump({'group': os.getpgrp()}, open(out, 'w'))")
    assert runs.evaluate(MASKS[:1], SEEDS[:1]).tolist() == [[os.getpgrp()]]


@pytest.mark.parametrize("stubborn", [False, True])
def test_stopping_the_parent_stops_the_command(tmp_path, stubborn):
    """Ctrl-C that reaches only the parent: the command ends too, by force if it must."""
    child = f"""
        import os, signal, sys, time
        if {stubborn}:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(60)
    """
    parent = """
        import sys, numpy as np
        from interplay.evaluators import command
        command.PATIENCE = 0.5
        runs = command.CommandRetrain("{python} child.py pid {weights} {result}", folder=".")
        try:
            runs.evaluate(np.ones((1, 2)), np.zeros(1, int))
        except KeyboardInterrupt:
            sys.exit(77)
    """
    for name, text in {"child.py": child, "parent.py": parent}.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    process = subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path)
    deadline = time.monotonic() + 30
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 77
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert sorted(os.listdir(tmp_path)) == ["child.py", "parent.py", "pid"]
