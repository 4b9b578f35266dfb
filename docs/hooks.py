"""What MkDocs puts into the site beside the pages written by hand, made from the sources at every build.

examples/, benchmarks/results/   the folders of the checkout, as pages and downloads; and files that pages use
reference/command-line/*.md      the help of every verb, as typer has it
reference/errors.md              the messages of all pages, each with the page that it belongs to
reference/all-messages.md        every message in the sources
tables of formats                where a page says ``<!-- formats: imports -->`` or ``exports``
links to benchmarks/results/     where a page says ``<!-- results -->``
rows of printed tables           marked, so that they scroll on a narrow screen, where sentences wrap
"""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from docs import formats, formulas, messages, verbs  # noqa: E402
from docs.blocks import pages  # noqa: E402

#: Folders of the checkout whose files are part of the site, and the suffixes that are.
FOLDERS = {"examples": (".md", ".png", ".py", ".parquet", ".csv"), "benchmarks/results": (".md", ".png")}
OUTPUT = re.compile(r'<div class="language-output highlight">.*?</div>', re.DOTALL)
PARTED = re.compile(r"\S {2,}\S")


def on_config(config: Any) -> Any:
    """Give every verb its line in the navigation."""
    for tab in config.nav:
        for entries in tab.values():
            for entry in entries:
                if isinstance(entry, dict) and "Command line" in entry:
                    entry["Command line"] = list(verbs.pages())
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add what is made from the sources."""
    for folder, suffixes in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*")):
            below = path.relative_to(ROOT / folder)
            if path.suffix in suffixes and len(below.parts) <= 2 and "raw" not in below.parts:
                _add(files, config, path.relative_to(ROOT).as_posix(), path)
    for name in sorted({name for page in pages() for name in page.files}):
        _add(files, config, name, ROOT / name)
    for name, text in verbs.pages().items():
        _add(files, config, name, text)
    _add(files, config, "reference/errors.md", errors())
    _add(files, config, "reference/all-messages.md", all_messages())
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in formulas and tables of formats, and mend links of files that were written for the checkout."""
    if page.file.src_uri.startswith("benchmarks/"):
        page.meta["search"] = {"exclude": True}  # long tables would stand before every answer
    if page.file.src_uri.startswith(("examples/", "benchmarks/")):
        markdown = _mended(markdown, page.file.src_uri)
    markdown = formulas.written(markdown).replace("<!-- results -->", results())
    return re.sub(r"<!-- formats: (\w+) -->", lambda found: formats.table(found.group(1)), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Mark the rows of printed tables: two columns or more, which two blanks part."""
    row = lambda found: f'<span class="go row">{found[1]}</span>' if PARTED.search(found[1]) else found[0]
    return OUTPUT.sub(lambda block: re.sub(r'<span class="go">(.*)</span>', row, block[0]), content)


def on_post_build(config: Any) -> None:
    """Write the index of the search as a script too: pages that were opened from a folder cannot fetch a file."""
    index = Path(config.site_dir) / "search" / "search_index.json"
    index.with_suffix(".js").write_text(f"var __index = {index.read_text(encoding='utf-8')}", encoding="utf-8")


def results() -> str:
    """Return links to all tables of the benchmarks, from a page one folder below docs/."""
    tables = [path.stem for path in sorted((ROOT / "benchmarks/results").glob("*.md"))]
    return ", ".join(f"[{name}](../benchmarks/results/{name}.md)" for name in tables)


def errors() -> str:
    """Return the page of all messages."""
    lines = [
        "# Errors",
        "",
        "Every message names what is wrong, where, and what to do. Search this page for the fixed words of yours; the",
        "link leads to the page that it belongs to. Names and numbers in a message are examples. `interplay`",
        "ends with exit code 2 where the input was wrong, with 1 where every evaluation failed, and with 3 where",
        "`--strict` was asked for and the verdict is *not supported*. In Python most are `EvaluationsError`, which is",
        "a `ValueError`. [All messages](all-messages.md), also those that say enough, are on a page too.",
        "",
    ]
    for page in pages():
        found = [line for block in page.blocks if block.language == "message" for line in block.text.splitlines()]
        if found:
            title = re.search(r"^# (.*)$", page.text, re.MULTILINE)
            assert title is not None, f"{page.name} has no title"
            link = page.name.removeprefix("reference/") if page.name.startswith("reference/") else f"../{page.name}"
            lines += [f"## {title.group(1)}", "", f"See also [{title.group(1)}]({link}).", ""]
            lines += [
                "<ul class=messages>",
                *(f"<li><code>{html.escape(line)}</code></li>" for line in found),
                "</ul>",
                "",
            ]
    return "\n".join(lines)


def all_messages() -> str:
    """Return the page of every message in the sources."""
    lines = [
        "---",
        "search: {boost: 0.001}",
        "---",
        "# All messages",
        "",
        "Every message that an error of the package can have, by the room that raises it; … is a name or a number.",
        "Most need no more than they say. Those that may are [by page](errors.md).",
        "",
    ]
    for room, texts in messages.raised().items():
        items = [f"<li><code>{html.escape(text)}</code></li>" for text in texts]
        lines += [f"## {room}", "", "<ul class=messages>", *items, "</ul>", ""]
    return "\n".join(lines)


def _add(files: Any, config: Any, name: str, what: Path | str) -> None:
    if isinstance(what, Path):
        made = File.generated(config, name, abs_src_path=str(what))
    else:
        made = File.generated(config, name, content=what)
    if (there := files.get_file_from_path(name)) is not None:
        files.remove(there)
    files.append(made)


def _mended(markdown: str, name: str) -> str:
    """Links to folders become links to their pages; those that leave the site keep their words only."""

    def mend(found: re.Match[str]) -> str:
        bang, words, to = found.groups()
        if "://" in to or to.startswith("#"):
            return found.group(0)
        place = (ROOT / name).parent / to.partition("#")[0]
        if place.is_dir():
            return f"{bang}[{words}]({to.rstrip('/')}/README.md)" if (place / "README.md").exists() else words
        inside = place.resolve().relative_to(ROOT).as_posix()
        return found.group(0) if any(inside.startswith(folder) for folder in FOLDERS) else words

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", mend, markdown)
