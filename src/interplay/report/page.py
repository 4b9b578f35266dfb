"""An answer as one HTML file that needs no network: sentences, tables and figures that a browser draws by itself.

What the reader chooses among is packed target by target (JSON, gzip, base64), so that a page of hundreds of targets
stays small and opens at once. Nothing that a user named is markup, script or style: templates escape, data reach the
scripts as JSON without ``<``, and the page's own policy allows no other script than the two that it carries.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluations import MIN_RUNS
from ..formats.archive import written_whole
from .average import told_apart
from .brief import Brief
from .document import of_target, whole
from .downloads import downloads

if TYPE_CHECKING:
    from ..attribution import Attribution

__all__ = ["html", "waiting", "write"]

PLOTLY = "plotly-cartesian.min.js"
#: Targets above which strings that most of them hold are carried once, and about how many are looked at for that.
SHARE, SAMPLED = 100, 8
#: Stands before the place of such a string, which no text that is shown holds.
MARK = "\x7f"
#: A string of JSON; the name of a member with its colon.
STRING = re.compile(r'"(?:[^"\\]|\\.)*":?')


def html(answer: Attribution, live: Mapping[str, Any] | None = None) -> str:
    """The page of an answer.

    Parameters
    ----------
    answer : Attribution
    live : mapping, optional
        What a server adds, which keeps the page up to date: ``where`` the runs come from, the ``version`` of the
        answer, how the runs stand in ``words`` (see `report.live`).
    """
    document, T, brief = whole(answer), len(answer.targets), Brief.of(answer)
    one = lambda t: as_text(of_target(answer, t, brief))
    common = Common([one(t) for t in range(0, T, T // SAMPLED)] if T > SHARE else ())
    each = [compressed(common.short(one(t))) for t in range(T)]
    data = {
        "targets": document["targets"],
        "verdicts": document["verdicts"],
        "first": told_apart(answer)[0] if T > 1 else 0,
        "whole": packed({**{name: document[name] for name in ("figures", "tables")}, "common": common.strings}),
        "each": each,
        "files": [
            {"name": name, "what": what, "data": None if text is None else packed(text)}
            for name, what, text in downloads(answer)
        ],
        "live": None if live is None else {"version": live["version"]},
    }
    words = {**document, "many": len(answer.targets) > 1}
    return rendered("report.html", (PLOTLY, "report.js"), data, live, words)


def waiting(live: Mapping[str, Any]) -> str:
    """The page before there is an answer; `live` as of `html`."""
    data, words = {"live": {"version": live["version"]}}, {"title": f"Waiting for {live['where']}", "least": MIN_RUNS}
    return rendered("waiting.html", ("report.js",), data, live, words)


def rendered(
    template: str, names: Sequence[str], data: dict[str, Any], live: Mapping[str, Any] | None, words: dict[str, Any]
) -> str:
    """A page of this look: a template, the scripts it carries, their data, what a server adds, and its words."""
    from jinja2 import Environment, FunctionLoader
    from markupsafe import Markup

    scripts = [static(name) for name in names]
    environment = Environment(autoescape=True, loader=FunctionLoader(_template), trim_blocks=True, lstrip_blocks=True)
    environment.finalize = lambda value: value.replace("R^2", "R²") if type(value) is str else value
    return environment.get_template(template).render(
        **words,
        live=live,
        plotly_version=static(PLOTLY)[:80].split("v")[-1].split()[0] if PLOTLY in names else "",
        policy=policy(scripts, live is not None),
        style=Markup(static("report.css")),
        scripts=[Markup(script) for script in scripts],
        data=Markup(as_json(data)),
    )


def write(answer: Attribution, path: str | Path) -> Path:
    """Write the page of an answer, whole or not at all; returns the path."""
    path = Path(path)
    text = html(answer)
    written_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    return path


class Common:
    """Strings that most of several texts of JSON hold, which a page of many targets carries once.

    Parameters
    ----------
    texts : sequence of str
        Some of the texts; of none, nothing is shared.

    Attributes
    ----------
    strings : list of str
        What `short` puts `MARK` and a place for.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = Counter(literal for text in texts for literal in set(STRING.findall(text)))
        literals = [
            literal for literal, n in counts.items() if literal[-1] == '"' and 2 * n > len(texts) and len(literal) > 6
        ]
        self.strings: list[str] = [json.loads(literal) for literal in literals]
        self._places = {literal: f'"{MARK}{i}"' for i, literal in enumerate(literals)}

    def short(self, text: str) -> str:
        """Put the place of each common string for it; a string that looks like a place becomes a common one."""
        return STRING.sub(self._place, text) if self._places else text

    def _place(self, found: re.Match[str]) -> str:
        literal = found[0]
        if literal.startswith(f'"{MARK}') and literal[-1] == '"' and literal not in self._places:
            self._places[literal] = f'"{MARK}{len(self.strings)}"'
            self.strings.append(json.loads(literal))
        return self._places.get(literal, literal)


def as_text(value: Any) -> str:
    """A value as JSON, as short as can be."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def packed(value: Any) -> str:
    """A value as JSON, gzip, base64."""
    return compressed(as_text(value))


def compressed(text: str) -> str:
    """A text as gzip, base64."""
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode()


def as_json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(scripts: list[str], live: bool) -> str:
    """Content security policy: these scripts alone; connections to the page's own server where it is served."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    connect = "'self'" if live else "'none'"
    rest = "img-src data: blob:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; connect-src {connect}; {rest}"


@cache
def static(name: str) -> str:
    """A file of the page, as it stands between its tags."""
    text = files("interplay.report").joinpath("static", name).read_text(encoding="utf-8").strip()
    assert not any(end in text for end in ("</script", "</style")), name
    return text


def _template(name: str) -> str:
    return files("interplay.report").joinpath("templates", name).read_text(encoding="utf-8")
