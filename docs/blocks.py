"""Blocks of code in the pages: read, run in order in a folder of their own, and compared with what the page shows.

A fenced block is one of

sh        commands of `interplay`, and `python FILE`; its printed text is that of all of them, standard error included
python    run in the namespace that the page's python blocks share
output    what the block before it printed; a line ``...`` stands for lines that were left out
message   messages, one a line, which `docs.messages` looks for in the sources of the package
math      formulas, see `docs.formulas`
text      nothing is run or compared

A block of any language with ``title="NAME"`` is written to the file NAME and not run. Classes: ``.fails``, the block
ends with an error; ``.live``, it takes minutes (or installs something), and ``.form``, it names files of the reader's
own: of both only the words are checked.
The front matter of a page names the files it starts from (``files``) and the packages it needs (``needs``).
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
#: Languages that may stand in a fence.
UNRUN = {"live", "form"}
RUN, SHOWN = ("sh", "python"), ("output", "message", "math", "text", "yaml", "json", "csv")
#: Characters of a line on the pages.
WIDTH = 100
#: What stands on the pages for the folder in which the blocks ran.
HOME = "/home/me"
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?|(?<![\w.])[+-]?\.\d+")
#: What differs from run to run: durations, times of day, versions, process numbers.
PASSING = [
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|min|h)\b"), "(time)"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?"), "(date)"),
    (re.compile(r"\b\d+\.\d+\.\d+\b"), "(version)"),
    (re.compile(r"^( *\d+  done +\d+  .*? +)\d+(?:\.\d+)?(?=  )"), r"\1(time)"),
]


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands (line of its first fence, from 0), its language, classes, title and text."""

    line: int
    language: str
    classes: tuple[str, ...]
    title: str | None
    text: str

    @property
    def end(self) -> int:
        """Line of its last fence."""
        return self.line + 1 + len(self.text.splitlines())

    @property
    def runs(self) -> bool:
        """Whether something is to be run."""
        return self.language in RUN and self.title is None and not UNRUN & set(self.classes)


@dataclass(frozen=True)
class Page:
    """One page: its path below docs/, its text, the blocks in it, and what its front matter asks for."""

    name: str
    text: str
    blocks: tuple[Block, ...]
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def pages() -> list[Page]:
    """All pages that are written by hand."""
    return [read(path) for path in sorted(DOCS.rglob("*.md"))]


def read(path: Path) -> Page:
    """Read one page."""
    text = path.read_text(encoding="utf-8")
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    stated = yaml.safe_load(front.group(1)) if front else {}
    return Page(
        path.relative_to(DOCS).as_posix(),
        text,
        tuple(fences(text)),
        tuple(stated.get("needs", ())),
        tuple(stated.get("files", ())),
    )


def fences(text: str) -> Iterator[Block]:
    """Read the fenced blocks of a page; one that is never closed is an error."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        opened = re.match(r"( *)```(.*)$", lines[at])
        if not opened:
            at += 1
            continue
        end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == "```"), None)
        if end is None:
            raise ValueError(f"line {at + 1}: this block is never closed.")
        inside = [line[len(opened.group(1)) :] for line in lines[at + 1 : end]]
        yield Block(at, *_header(opened.group(2)), "".join(f"{line}\n" for line in inside))
        at = end + 1


def _header(words: str) -> tuple[str, tuple[str, ...], str | None]:
    title = re.search(r'title="([^"]*)"', words)
    names = re.sub(r'\w+="[^"]*"', "", words).replace("{", " ").replace("}", " ").split()
    names = [name.lstrip(".") for name in names]
    return (names or [""])[0], tuple(names[1:]), title.group(1) if title else None


@contextlib.contextmanager
def session(page: Page, folder: Path) -> Iterator[Any]:
    """Yield a function that runs one block of a page in a folder and returns what it printed."""
    for name in page.files:
        shutil.copy(ROOT / name, folder / Path(name).name)
    from interplay import progress

    before, argv, environment, long = Path.cwd(), sys.argv, dict(os.environ), progress.LONG
    space: dict[str, Any] = {"__name__": "page"}
    os.chdir(folder)
    progress.LONG = 3600.0  # how long a step takes depends on the machine
    os.environ |= {"COLUMNS": str(WIDTH), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        yield lambda block: _run(page, block, space)
    finally:
        os.chdir(before)
        sys.argv = argv
        progress.LONG = long
        os.environ.clear()
        os.environ.update(environment)


def _run(page: Page, block: Block, space: dict[str, Any]) -> str:
    if block.title is not None:
        Path(block.title).write_text(block.text, encoding="utf-8")
        return ""
    if not block.runs:
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        if block.language == "python":
            failed = _python(block, f"<{page.name}:{block.line + 1}>", space)
        else:
            failed = False
            for words in commands(block):
                failed = _command(words) != 0
                if failed:
                    break
    if failed != ("fails" in block.classes):
        how = "was to fail and did not" if "fails" in block.classes else "failed"
        raise AssertionError(f"{page.name}:{block.line + 1}: this block {how}:\n{block.text}\n{printed.getvalue()}")
    return printed.getvalue().replace(str(Path.cwd()), HOME)


def _python(block: Block, name: str, space: dict[str, Any]) -> bool:
    linecache.cache[name] = (len(block.text), None, block.text.splitlines(keepends=True), name)  # for inspect
    code = compile(block.text, name, "exec")
    if "fails" not in block.classes:
        exec(code, space)  # the page's own text
        return False
    try:
        exec(code, space)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        return True
    return False


def commands(block: Block) -> Iterator[list[str]]:
    """Read the command lines of a block, as a shell would split them."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def _command(words: list[str]) -> int:
    if words[0] == "interplay":
        from interplay.cli import main

        sys.argv = words
        try:
            main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        return 0
    if words[0] != "python":
        raise AssertionError(f"{words[0]}: only interplay and python are run; mark the block {{.sh .live}}.")
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, timeout=300)
    print(done.stdout + done.stderr, end="")
    return done.returncode


def shown_after(page: Page) -> Iterator[tuple[Block, Block | None]]:
    """Pair each block with the output block that belongs to it, or None."""
    for n, block in enumerate(page.blocks):
        after = page.blocks[n + 1] if n + 1 < len(page.blocks) else None
        belongs = after is not None and after.language == "output" and block.language in RUN and block.title is None
        yield block, after if belongs else None


def faults(shown: str, printed: str, *, exact: bool = False) -> str:
    """Say where a page shows what was not printed; '' if nowhere."""
    lines, at, free = printed.splitlines(), 0, False
    for line in shown.splitlines():
        if line.strip() == "...":
            free = True
            continue
        found = next((n for n in range(at, len(lines)) if same(line, lines[n], exact=exact)), None)
        if found is None or (found > at and not free):
            return f"shown:   {line}\nprinted: {lines[at] if at < len(lines) else '(nothing more)'}\n\n{printed}"
        at, free = found + 1, False
    return "" if free or at == len(lines) else f"printed and not shown: {lines[at]}"


def same(shown: str, printed: str, *, exact: bool = False) -> bool:
    """Whether two lines say the same: the same words, and numbers that differ by what processors may differ by.

    Examples
    --------
    >>> same("loss 0.123 in 4.5 s", "loss  0.124 in 17 s"), same("loss 0.123", "loss 0.123 s"), same("1 run", "2 runs")
    (True, False, False)
    """
    shown, printed = _settled(shown), _settled(printed)
    if exact or shown == printed:
        return shown == printed
    if NUMBER.sub("#", shown).split() != NUMBER.sub("#", printed).split():
        return False
    return all(map(_close, NUMBER.findall(shown), NUMBER.findall(printed)))


def _settled(line: str) -> str:
    for pattern, word in PASSING:
        line = pattern.sub(word, line)
    return line.rstrip()


def _close(shown: str, printed: str) -> bool:
    if shown == printed:
        return True
    a, b = (float(text.replace(",", "")) for text in (shown, printed))
    last = 10.0 ** -len(shown.partition(".")[2].partition("e")[0]) if "." in shown else 0.0
    return abs(a - b) <= max(1.01 * last, 0.02 * abs(a) if last else 0.0)


def renewed(shown: str, printed: str) -> str:
    """Return what a page should show: the printed text, with what the page leaves out left out again."""
    if "..." not in (line.strip() for line in shown.splitlines()):
        return printed.rstrip("\n") + "\n" if printed.strip() else ""
    lines, at, kept = printed.splitlines(), 0, []
    for left_out, part in groupby(shown.splitlines(), lambda line: line.strip() == "..."):
        part = list(part)
        if left_out:
            kept += part
            continue
        like = [
            sum(_words(a) == _words(b) for a, b in zip(part, lines[n:], strict=False))
            for n in range(at, max(len(lines) - len(part), at) + 1)
        ]
        if not max(like):
            close = get_close_matches(part[0], lines[at:], n=1)
            if not close:
                raise ValueError(f"nothing printed looks like {part[0]!r}: shorten this block by hand.\n\n{printed}")
            like[lines.index(close[0], at) - at] = 1
        at += like.index(max(like))
        kept += lines[at : at + len(part)]
        at += len(part)
    return "".join(f"{line.rstrip()}\n" for line in kept)


def _words(line: str) -> list[str]:
    return NUMBER.sub("#", _settled(line)).split()


def told(page: Page, texts: dict[int, str]) -> str:
    """Return the text of a page with new texts for the blocks at some lines."""
    lines = page.text.splitlines()
    for block in sorted(page.blocks, key=lambda block: -block.line):
        if block.line in texts:
            lines[block.line + 1 : block.end] = texts[block.line].splitlines()
    return "\n".join(lines) + "\n"


def with_text(block: Block, text: str) -> Block:
    """Return a block with another text."""
    return replace(block, text=text)
