r"""Formulas as MathML, which browsers draw without any script or font from elsewhere.

A block ``math`` holds one formula a line, and ``\(...\)`` one within a sentence, in a small part of TeX: letters and
numbers, ``_`` and ``^`` with one sign or ``{...}``, ``\frac{a}{b}``, ``\text{...}``, and the names in `GREEK`, `SIGNS`
and `LARGE`. What it does not know is an error.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

#: Written as \NAME; letters are identifiers, the others operators.
GREEK = {"lambda": "λ", "theta": "θ", "phi": "φ", "gamma": "γ", "mu": "μ", "sigma": "σ"}
SIGNS = {
    "cdot": "·", "le": "≤", "ge": "≥", "ne": "≠", "in": "∈", "to": "→", "quad": "\u2003", "minus": "−", "lceil": "⌈",
    "rceil": "⌉", "times": "×",
}  # fmt: skip
PLAIN = {"-": "−", "*": "·", "'": "′"}
LARGE = {"sum": "∑", "prod": "∏", "int": "∫"}
TOKEN = re.compile(r"\\([a-z]+)|(\d+(?:\.\d+)?|\.\d+)|([A-Za-z])|(.)")


def written(markdown: str) -> str:
    r"""Turn the formulas of a page into MathML: blocks ``math``, and ``\(...\)`` outside of code."""
    blocks = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(_block(part) if part.startswith("```math") else _within(part) for part in blocks)


def mathml(formula: str, display: bool = False) -> str:
    r"""Return one formula.

    Examples
    --------
    >>> mathml(r"x_i^2")
    '<math><msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup></math>'
    """
    tokens = [found.group(0) for found in TOKEN.finditer(formula) if found.group(0).strip()]
    body = "".join(_row(tokens, formula, display))
    if tokens:
        raise ValueError(f"formula {formula!r}: {tokens[0]!r} closes nothing.")
    return f'<math display="block">{body}</math>' if display else f"<math>{body}</math>"


def _block(text: str) -> str:
    lines = text.splitlines()[1:-1]
    drawn = "\n".join(mathml(line, display=True) for line in lines if line.strip())
    return f'<div class="formula">\n{drawn}\n</div>'


def _within(text: str) -> str:
    if text.startswith("```"):
        return text
    return re.sub(r"\\\((.+?)\\\)", lambda found: f"<span>{mathml(found.group(1))}</span>", text, flags=re.DOTALL)


def _row(tokens: list[str], formula: str, display: bool) -> Iterator[str]:
    while tokens and tokens[0] != "}":
        large = tokens[0].lstrip("\\") in LARGE and tokens[0] != r"\int"
        base = _one(tokens, formula, display)
        marks: dict[str, str] = {}
        while tokens and tokens[0] in "_^":
            mark = tokens.pop(0)
            marks[mark] = _one(tokens, formula, display)
        yield _marked(base, marks, under=large and display)


def _marked(base: str, marks: dict[str, str], under: bool) -> str:
    if not marks:
        return base
    both, below, above = ("munderover", "munder", "mover") if under else ("msubsup", "msub", "msup")
    if len(marks) == 2:
        return f"<{both}>{base}{marks['_']}{marks['^']}</{both}>"
    name = below if "_" in marks else above
    return f"<{name}>{base}{''.join(marks.values())}</{name}>"


def _one(tokens: list[str], formula: str, display: bool) -> str:
    if not tokens:
        raise ValueError(f"formula {formula!r} ends too early.")
    token = tokens.pop(0)
    if token == "{":
        body = "".join(_row(tokens, formula, display))
        if not tokens:
            raise ValueError(f"formula {formula!r}: a brace is never closed.")
        tokens.pop(0)
        return f"<mrow>{body}</mrow>"
    if token.startswith("\\"):
        return _named(token[1:], tokens, formula, display)
    if token[0].isdigit() or (token[0] == "." and len(token) > 1):
        return f"<mn>{token}</mn>"
    if token.isalpha():
        return f"<mi>{token}</mi>"
    return f"<mo>{html.escape(PLAIN.get(token, token))}</mo>"


def _named(name: str, tokens: list[str], formula: str, display: bool) -> str:
    if name == "frac":
        return f"<mfrac>{_one(tokens, formula, display)}{_one(tokens, formula, display)}</mfrac>"
    if name == "text":
        words = re.sub(r"<[^>]*>", "", _one(tokens, formula, display))
        return f"<mtext>{words.replace('~', '&nbsp;')}</mtext>"
    if name in LARGE:
        return f"<mo>{LARGE[name]}</mo>"
    if name in GREEK:
        return f"<mi>{GREEK[name]}</mi>"
    if name in SIGNS:
        return f"<mo>{SIGNS[name]}</mo>"
    if name in ("exp", "log"):
        return f"<mi>{name}</mi><mo>&#8289;</mo>"
    known = ", ".join([*GREEK, *SIGNS, *LARGE, "frac", "text", "exp", "log"])
    raise ValueError(f"formula {formula!r}: \\{name} is not known; there are {known}.")
