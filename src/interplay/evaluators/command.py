"""F(s) by running a command: scripts in any language and jobs of a cluster, without a shell.

Each run gets a folder of its own with the mask as JSON, and writes {target: number} as JSON into the same folder:

    {"tasks": ["a", "c"], "weights": {"a": 1, "b": 0, "c": 1}, "seed": 0}   ->   {"loss": 0.25}
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np

from .code import digest_of_source
from .digests import digest, flat
from .failures import EvaluationFailed
from .results import notes_of, row_of
from .rows import checked_rows

__all__ = ["CommandRetrain"]

#: What a command may ask for.
PLACEHOLDERS = {
    "mask_file": 'JSON file {"tasks": [those present], "weights": {task: weight}, "seed": seed}',
    "result": "where the command writes JSON {target: number}",
    "seed": "the seed",
    "weights": "weights of all tasks, such as 1,0,1",
    "tasks": "names of the tasks present, such as a,c",
    "python": "the Python that runs interplay",
}
_MASK = ("mask_file", "weights", "tasks")
_SCRIPTS = (".py", ".sh", ".yaml", ".yml", ".json", ".toml", ".cfg")
#: Bytes of a run's output that are kept, lines of it that a message shows, and seconds between asking and killing.
KEPT, LINES, PATIENCE = 2**16, 12, 5.0


class CommandRetrain:
    """Evaluate masks by a command that trains, measures and writes its results to a JSON file.

    Parameters
    ----------
    command : str or sequence of str
        The command with placeholders; a string is split as a shell would (`shlex`), but no shell runs it. Placeholders:
        ``{mask_file}``, JSON of the form shown above; ``{result}``, where the command writes a JSON object of target
        to number; ``{seed}``; ``{weights}`` of all tasks (``1,0,1``); ``{tasks}``, names of those present (``a,c``);
        ``{python}``, the Python that runs this one. Braces that are meant as such are doubled.
    tasks, targets, higher_is_better, fidelity, coupled, absent_tasks, settings
        As in `Retrain`.
    version : str, optional
        Stands in the place of the contents of script files where runs are compared with those in a store.
    cwd : path, optional
        Folder in which the command runs; default: the current one.
    env : mapping of str to str, optional
        Added to the environment. It says where and how to run (devices, paths, tokens) and is not compared with the
        store; what changes values belongs in the command or in ``settings``.
    folder : path, optional
        Where the runs' own folders are made, and removed; default: the system's temporary folder. Jobs that run on
        other machines need one that these see too.

    Attributes
    ----------
    outputs : list of str
        What each run of the last `evaluate` printed, its last 64 kB.

    Examples
    --------
    >>> script = "import json, sys; json.dump(dict(loss=len(sys.argv[1])), open(sys.argv[2], 'w'))"
    >>> runs = CommandRetrain(["{python}", "-c", script, "{tasks}", "{result}"], tasks=["code", "prose"])
    >>> runs.evaluate(np.array([[1, 0]]), np.array([0])).tolist(), runs.targets
    ([[4.0]], ('loss',))
    """

    batch = 1
    isolated = True

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        tasks: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        higher_is_better: Sequence[bool] | Sequence[str] | None = None,
        fidelity: str = "retrained",
        coupled: bool | None = None,
        absent_tasks: str | None = None,
        settings: Mapping[str, Any] | None = None,
        version: str | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        folder: str | os.PathLike[str] | None = None,
    ):
        self.command = _arguments(command)
        used = _check_placeholders(self.command)
        self.tasks = None if tasks is None else tuple(tasks)
        self.targets = None if targets is None else tuple(targets)
        if "tasks" in used and (odd := [name for name in self.tasks or () if "," in name]):
            raise ValueError(f"task {odd[0]!r} has a comma in its name, which {{tasks}} puts between names; rename it.")
        for argument, path in {"cwd": cwd, "folder": folder}.items():
            if path is not None and not os.path.isdir(path):
                raise ValueError(f"{argument} is {os.fspath(path)!r}, which is no folder.")
        self.higher_is_better, self.fidelity = higher_is_better, fidelity
        self.notes = notes_of(coupled, absent_tasks)
        self.cwd, self.env, self.folder = cwd, dict(env or {}), folder
        self.version = None if version is None else str(version)
        self.outputs: list[str] = []
        self._settings = flat(settings or {}, "settings")
        self._files = {} if version is not None else self._scripts()

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets: command, contents of its scripts, settings."""
        version = {} if self.version is None else {"version": self.version}
        files = {f"files.{name}": content for name, content in self._files.items()}
        return {"command": shlex.join(self.command), **files, **version, **self._settings}

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Run the command once for each row, one after the other.

        Parameters
        ----------
        masks : (b, K) array
        seeds : (b,) array of int

        Returns
        -------
        (b, T) array

        Raises
        ------
        EvaluationFailed
            If the command cannot be started, ends with an error, or leaves no valid result.
        """
        masks, seeds = checked_rows(masks, seeds, self.tasks)
        self.outputs = []
        rows = []
        for mask, seed in zip(masks, seeds.tolist(), strict=True):
            with tempfile.TemporaryDirectory(
                prefix="interplay-", dir=self.folder, ignore_cleanup_errors=True
            ) as folder:
                rows.append(self._run(mask, seed, Path(folder).resolve()))
        return np.array(rows).reshape(len(masks), len(self.targets or ()))

    def _run(self, mask: np.ndarray, seed: int, folder: Path) -> np.ndarray:
        """Return the row (T,) of one run."""
        if self.version is None and (now := self._scripts()) != self._files:
            changed = [name for name in {**self._files, **now} if now.get(name) != self._files.get(name)]
            raise EvaluationFailed(
                f"{', '.join(changed)} changed since these runs began; runs of two versions would be mixed. Start "
                "again as runs of their own, or pass version= where such changes do not touch results."
            )
        names = self.tasks or tuple(f"task_{k}" for k in range(len(mask)))
        weights = [int(w) if float(w).is_integer() else float(w) for w in mask]
        present = [name for name, w in zip(names, weights, strict=True) if w]
        result, printed = folder / "result.json", folder / "output.txt"
        known = {"tasks": present, "weights": dict(zip(names, weights, strict=True)), "seed": seed}
        (folder / "mask.json").write_text(json.dumps(known), encoding="utf-8")
        fields = {
            "mask_file": str(folder / "mask.json"),
            "result": str(result),
            "seed": str(seed),
            "weights": ",".join(map(repr, weights)),
            "tasks": ",".join(present),
            "python": sys.executable,
        }
        arguments = [part.format(**fields) for part in self.command]
        try:
            code = self._wait(arguments, printed)
        except EvaluationFailed:
            self.outputs.append("")
            raise
        output = _tail(printed)
        self.outputs.append(output)
        try:
            return self._read(code, result, output)
        except EvaluationFailed as failure:
            failure.output = output
            raise

    def _wait(self, arguments: list[str], printed: Path) -> int:
        """Run a command to its end; return its exit code. Where this process is stopped, so is the command."""
        environment = {"PYTHONUNBUFFERED": "1", **os.environ, **self.env}
        with open(printed, "wb") as file:
            try:
                process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    cwd=self.cwd,
                    env=environment,
                )
            except OSError as error:
                raise EvaluationFailed(_not_started(arguments[0], self.cwd, error)) from None
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise

    def _read(self, code: int, result: Path, output: str) -> np.ndarray:
        if code:
            raise EvaluationFailed(f"the command {_ended(code)}.{_last_lines(output)}")
        try:
            text = result.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise EvaluationFailed(
                "the command ended well but wrote no result; it must write a JSON object such as "
                f'{{"loss": 0.25}} to the path given as {{result}}.{_last_lines(output)}'
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise EvaluationFailed(f"the command's result cannot be read: {error}.") from None
        try:
            values = json.loads(text)
        except ValueError as error:
            raise EvaluationFailed(
                f"the command's result is not JSON ({error}); it begins with {text[:60]!r}."
            ) from None
        if not isinstance(values, dict):
            shown = text.strip() if len(text) < 60 else f"{text[:60].strip()}..."
            raise EvaluationFailed(
                f"the command's result is {shown}; it must be a JSON object of target to number, such as "
                '{"loss": 0.25}.'
            )
        self.targets, row = row_of(values, self.targets, "the command")
        return row

    def _scripts(self) -> dict[str, str]:
        """Digest of each file among the arguments that looks like a script or a configuration."""
        found = {}
        for argument in self.command:
            for name in dict.fromkeys((argument, argument.partition("=")[2])):
                path = Path(self.cwd or ".") / name
                if name.endswith(_SCRIPTS) and path.is_file():
                    content = path.read_bytes()
                    python = name.endswith(".py")
                    found[name] = digest_of_source(content.decode(errors="replace")) if python else digest(content)
        return found


def _arguments(command: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(command, str):
        try:
            parts = tuple(shlex.split(command))
        except ValueError as error:
            raise ValueError(f"command is {command!r}, which cannot be split into arguments ({error}).") from None
    else:
        parts = tuple(os.fspath(part) for part in command)
        if odd := [part for part in parts if not isinstance(part, str)]:
            raise ValueError(f"command holds {odd[0]!r}; every argument must be a string.")
    if not parts or not parts[0]:
        raise ValueError("command is empty; pass one such as 'python train.py --mask {mask_file} --out {result}'.")
    return parts


def _check_placeholders(command: Sequence[str]) -> set[str]:
    known = "; ".join(f"{{{name}}}, {meaning}" for name, meaning in PLACEHOLDERS.items())
    used: set[str] = set()
    for part in command:
        try:
            fields = [(name, spec, turn) for _, name, spec, turn in Formatter().parse(part) if name is not None]
        except ValueError as error:
            raise ValueError(f"command has {part!r} ({error}); double braces that are no placeholder.") from None
        for name, spec, turn in fields:
            if name not in PLACEHOLDERS or spec or turn:
                raise ValueError(
                    f"command has the placeholder {{{name}}} in {part!r}, which is not known. Known are {known}. "
                    "Double braces that are no placeholder."
                )
            used.add(name)
    if "result" not in used:
        raise ValueError(f"command has no {{result}}, so that nothing can be read from it. Known are {known}.")
    if not used & set(_MASK):
        raise ValueError("command has none of {mask_file}, {weights}, {tasks}: every mask would run alike.")
    return used


def _ended(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def _not_started(program: str, cwd: Any, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and (cwd is None or os.path.isdir(cwd)):
        python = " Write {python} for the Python that runs interplay." if program.startswith("python") else ""
        return f"the command was not found: {program!r} is neither on the PATH nor a file.{python}"
    return f"the command cannot be started: {error}."


def _tail(file: Path) -> str:
    """Return the end of what a command printed."""
    with open(file, "rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - KEPT))
        return opened.read().decode(errors="replace")


def _last_lines(output: str) -> str:
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in output.strip().split("\n")]  # a bar's last state
    lines = [line for line in shown if line][-LINES:]
    return " It printed nothing." if not lines else "\nThe last of its output:\n" + "\n".join(lines)
