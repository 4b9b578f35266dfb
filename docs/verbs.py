"""Pages about the command line, made from the help that typer holds: one for each verb."""

from __future__ import annotations

import html
import re
from typing import Any

FOLDER = "reference/command-line"


def pages() -> dict[str, str]:
    """Return the text of every page by its path below docs/."""
    verbs = dict(_verbs(_root(), "interplay"))
    texts = {f"{FOLDER}/{_file(name)}": _page(name, verb) for name, verb in verbs.items()}
    return {f"{FOLDER}/index.md": _index(verbs), **texts}


def _root() -> Any:
    from typer.main import get_command

    from interplay.cli.app import app

    return get_command(app)


def _verbs(group: Any, name: str) -> Any:
    for word, verb in group.commands.items():
        if hasattr(verb, "commands"):
            yield from _verbs(verb, f"{name} {word}")
        else:
            yield f"{name} {word}", verb


def _file(name: str) -> str:
    return "-".join(name.split()[1:]) + ".md"


def _index(verbs: dict[str, Any]) -> str:
    rows = [f"| [`{name}`]({_file(name)}) | {text(verb.help)} |" for name, verb in verbs.items()]
    return "\n".join(
        [
            "# Command line",
            "",
            "Every verb is one call of the library. `interplay VERB --help` prints what these pages hold.",
            "",
            "| verb | does |",
            "|---|---|",
            *rows,
            "",
            "Exit codes: 0, done; 1, every evaluation failed; 2, something is wrong with the input, and one line says",
            "what; 3, `--strict` was asked for and the verdict is *not supported*; 130, stopped by Ctrl-C. With",
            "`--json` results go to standard output as JSON lines, notes to standard error.",
            "",
        ]
    )


def _page(name: str, verb: Any) -> str:
    arguments = [p for p in verb.params if p.param_type_name == "argument"]
    options = [p for p in verb.params if p.param_type_name == "option" and not getattr(p, "hidden", False)]
    usage = " ".join([name, "[OPTIONS]", *(_usage(p) for p in arguments)])
    lines = [f"# {name}", "", text(verb.help), "", "```text", usage, "```", ""]
    if arguments:
        lines += ["## Arguments", "", *_table("argument", ((f"`{_metavar(p)}`", p) for p in arguments))]
    if options:
        lines += ["## Options", "", *_table("option", ((_names(p), p) for p in options))]
    if examples := [line.strip() for line in (verb.epilog or "").splitlines() if line.strip()]:
        lines += ["## Examples", "", "```sh", *(line for line in examples if line.startswith("interplay")), "```", ""]
        lines += [text(line) for line in examples if not line.startswith(("interplay", "Example"))]
    return "\n".join(lines) + "\n"


def _table(what: str, rows: Any) -> list[str]:
    out = [f"| {what} | says |", "|---|---|"]
    for words, parameter in rows:
        told = text(parameter.help or "")
        if parameter.required:
            told += " **Required.**"
        default = parameter.default
        if parameter.param_type_name == "option" and isinstance(default, str | int | float) and default is not False:
            told += f" Default: `{default}`." if default is not True else ""
        out.append(f"| {words} | {told} |")
    return [*out, ""]


def _names(option: Any) -> str:
    value = "" if option.is_flag else f" {_metavar(option)}"
    names = [*option.opts, *option.secondary_opts]
    return "<br>".join(f"<code>{html.escape(name + value).replace('|', '&#124;')}</code>" for name in names)


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _usage(argument: Any) -> str:
    name = _metavar(argument) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def text(words: str) -> str:
    """Text of help, safe in a cell of a table: what looks like HTML or a column is shown as it is, options as code."""
    parts = html.escape(" ".join(words.split()), quote=False).replace("|", "&#124;").split("`")
    return "`".join(part if n % 2 else _marked(part) for n, part in enumerate(parts))


def _marked(words: str) -> str:
    plain = words.replace("*", r"\*").replace("_", r"\_").replace("[", r"\[")
    return re.sub(r"(?<![\w-])--[a-z][a-z-]*", lambda option: f"`{option.group(0)}`", plain)
