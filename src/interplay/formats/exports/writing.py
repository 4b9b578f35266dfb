"""The file itself: YAML, JSON or text, with what the mixture came from as comments or in a file beside it.

Names that came from elsewhere go through the emitter of YAML or JSON, always in quotes and in ASCII, so that no reader
takes ``null`` or ``1e5`` for something else; in comments they are cut to one line of harmless characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ...fields import EvaluationsError, MissingFileError
from ..archive import written_whole
from .exported import Exported
from .format import Draft, Format
from .holding import Holding, known
from .mixture import Plan

WIDTH = 600  # characters of a comment


class Name(str):
    """Text that somebody else chose: always quoted."""


def place(out: Path, format_: Format, inputs: Iterable[Path | None]) -> Path:
    """Check the file to be written; returns its path."""
    if out.suffix.lower() not in format_.suffixes:
        raise EvaluationsError(
            f"out: {out}: the suffix is {out.suffix!r}; {format_.title} reads {' or '.join(format_.suffixes)}."
        )
    if out.is_dir():
        raise EvaluationsError(f"out: {out} is a folder; give the name of a file in it.")
    if not out.parent.is_dir():
        raise MissingFileError(f"out: folder {str(out.parent)!r} does not exist; make it first.")
    for given in inputs:
        for written in (out, beside(out)) if _apart(out, format_) else (out,):
            if given is not None and given.resolve() == written.resolve():
                raise EvaluationsError(f"out: {out}: this would write over {given}; choose another name.")
    return out


def beside(out: Path) -> Path:
    """The file of the provenance, where the format has no comments."""
    return out.with_name(f"{out.name}.provenance.json")


def _apart(out: Path, format_: Format) -> bool:
    return out.suffix.lower() == ".json" or not format_.commented


def write(out: Path, plan: Plan, draft: Draft, found: Exported, holding: Holding, command: str | None) -> None:
    """Write the file, and its provenance as comments or beside it; each whole or not at all."""
    facts = provenance(plan, found, holding, command)
    if _apart(out, plan.format):
        text = json.dumps(facts, indent=1, allow_nan=False) + "\n"
        written_whole(beside(out), lambda partial: partial.write_text(text, encoding="ascii"))
        head = ""
    else:
        head = "".join(f"# {line}\n" for line in comments(facts))
    body = head + rendered(draft.body, out.suffix.lower())
    written_whole(out, lambda partial: partial.write_text(body, encoding="utf-8", newline="\n"))


def rendered(body: Any, suffix: str) -> str:
    """Text of a body."""
    if isinstance(body, str):
        return body
    if suffix == ".json":
        return json.dumps(body, indent=1, allow_nan=False) + "\n"
    return _yaml(body)


def _yaml(body: Any) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(float, lambda d, x: d.represent_scalar("tag:yaml.org,2002:float", positional(x)))
    Dumper.add_representer(Name, lambda d, x: d.represent_scalar("tag:yaml.org,2002:str", str(x), style='"'))
    return yaml.dump(body, Dumper=Dumper, sort_keys=False, allow_unicode=False, width=10**6, default_flow_style=False)


def positional(x: float) -> str:
    """A number without an exponent, which some readers of YAML take for text: 0.00000001."""
    return np.format_float_positional(float(x), unique=True, trim="0")


def provenance(plan: Plan, found: Exported, holding: Holding, command: str | None) -> dict[str, Any]:
    """What the file came from, as JSON can hold it."""
    from ... import __version__

    options = plan.options
    facts: dict[str, Any] = {"interplay": __version__, "written": datetime.now(UTC).isoformat(timespec="seconds")}
    facts |= {"for": plan.format.title, "documentation": plan.format.link, "weights": found.weight}
    facts |= {"kind": holding.kind, **holding.origin}
    if not plan.format.merges:
        facts["unit_of_the_choice"] = options.unit or "not said"
    if options.budget is not None:
        facts["budget"] = f"{options.budget:g} {options.budget_unit}"
    if options.phase is not None:
        facts["phase"] = options.phase
    facts["notes"] = list(found.notes)
    if command is not None:
        facts["command"] = command
    facts["sources"] = [
        {"task": t, "source": s, **({"phase": p} if p else {}), "asked": known(a), "realised": known(r)}
        for t, s, p, a, r in zip(found.tasks, found.sources, found.phases, found.asked, found.realised, strict=True)
    ]
    return facts


def comments(facts: Mapping[str, Any]) -> list[str]:
    """Lines of facts for comments; each stays on its line whatever the names in it hold."""
    from ...report.words import plain

    lines = [f"Written by interplay {facts['interplay']} on {facts['written']} for {facts['for']}"]
    for name, value in facts.items():
        if name in ("interplay", "written", "for", "sources", "notes") or value in ("", [], {}):
            continue
        lines.append(f"{name.replace('_', ' ')}: {_told(name, value)}")
    lines += [f"note: {note}" for note in facts["notes"]]
    for row in facts["sources"]:
        shares = "whole" if row["asked"] is None else f"asked {row['asked']:.9g}"
        lines.append(
            f"{row.get('phase', '')} {json.dumps(row['source'])} is {json.dumps(row['task'])}: {shares}".strip()
        )
    return [plain(line, WIDTH) for line in lines]


def _told(name: str, value: Any) -> str:
    if name == "predicted_gain":
        return "; ".join(f"{target} {_interval(given)}" for target, given in value.items())
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _interval(given: list[float | None]) -> str:
    told = ["not known" if value is None else f"{value:+.4g}" for value in given]
    return f"{told[0]} (95 % {told[1]} to {told[2]})"
