"""Targets computed from others within each run: means, weighted sums, worst cases, named groups of targets.

    definition := name [':up' | ':down'] '=' sum
    sum        := product (('+' | '-') product)*
    product    := factor (('*' | '/') factor)*           one side of * is a number, and so is the right side of /
    factor     := number | '-' factor | '(' sum ')' | function '(' sum (',' sum)* ')' | target
    function   := mean | sum | median | min | max | worst | mean_z
    target     := a name or a glob, in quotes (' " `) or bare: anything without blanks , ( ) + and quotes

A bare name may hold - / * and :, so these are operators only after a blank, a number, a bracket or a quote. A glob
stands for all measured targets that it matches and belongs inside a function, where each target counts once; a
derived target is used by its name. ``worst`` is the max of losses and the min of scores; ``mean_z`` the mean of
(y - mean) / standard deviation over the runs. A positive weight keeps a target's direction and a negative one turns
it; where the members then disagree, the definition must state a direction (``:up``, ``:down``).

A derived target is a column like any other: its surrogate is fitted to its own values, so that the interval of an
effect on it holds the covariances of the members' errors, w' S w, as they are in the runs. Intervals added up from
those of single targets would assume that their errors are independent.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .fields import EvaluationsError, listed, match

if TYPE_CHECKING:
    from .evaluations import Evaluations

__all__ = ["Definition", "Definitions", "FormulaError", "derive", "parse"]

Array = NDArray[np.float64]
Definitions = str | Sequence[str] | Mapping[str, str]

FUNCTIONS = ("mean", "sum", "median", "min", "max", "worst", "mean_z")
REDUCE: dict[str, Callable[..., Array]] = {
    "+": np.sum,  # of two columns, which may be the same
    "mean": np.mean,
    "sum": np.sum,
    "median": np.median,
    "min": np.min,
    "max": np.max,
}
#: A sum or mean says so when one member varies more than this many times as much as a quarter of them.
UNLIKE = 10.0

_HEAD = re.compile(r"\s*(?:([\"'`])(?P<quoted>.+)\1|(?P<bare>.+?))\s*(?::(?P<way>up|down))?\s*", re.DOTALL)
_OPERAND = re.compile(
    r"""\s*(?: (?P<number> (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? (?= \s*(?:$|[*+,)]) | \s+[-/] | /\s*[\d.] ))
             | (?P<open> [-(] )
             | (?P<quoted> "[^"]*" | '[^']*' | `[^`]*` )
             | (?P<function> [^\s,()+"'`]+ ) (?=\s*\()
             | (?P<bare> [^\s,()+"'`]+ ) )""",
    re.VERBOSE,
)
_OPERATOR = re.compile(r"\s*(?:(?P<infix>[-+*/,])|(?P<close>\)))")
_FORM = "Write NAME=EXPRESSION, as in 'overall=mean(bpb/*)'."
_RULE = "Names with blanks, commas, brackets or + go in quotes; - * / between bare names want blanks around them."


@dataclass(frozen=True)
class Definition:
    """A derived target as it was written.

    Attributes
    ----------
    name : str
    up : bool or None
        The direction that was stated.
    members : tuple of str
        Names and globs of the targets that it uses.
    tree : ast.expr
        The expression; ``_0``, ``_1``, ... stand for the members.
    text : str
    """

    name: str
    up: bool | None
    members: tuple[str, ...]
    tree: ast.expr
    text: str


@dataclass(frozen=True, eq=False)
class Column:
    """What an expression stands for in each run.

    Attributes
    ----------
    values : array (m,), or () for a number
    sign : int or None
        +1 higher is better, -1 lower, 0 neither (a number), None unclear.
    text : str
        The expression, with all names and numbers written out.
    """

    values: Array
    sign: int | None
    text: str

    @classmethod
    def of(cls, number: float) -> Column:
        """Return a number as a column."""
        return cls(np.asarray(number), 0, repr(float(number)))

    @property
    def number(self) -> float | None:
        """The number that this is, if it is one."""
        return None if self.values.ndim else float(self.values)

    def times(self, weight: float) -> Column:
        """Multiply by a number; a negative one turns the direction."""
        if self.number is not None:
            return Column.of(weight * self.number)
        sign = self.sign if weight >= 0 or self.sign is None else -self.sign
        text = f"({self.text})" if self.text[0] in "-.0123456789" else self.text
        return Column(weight * self.values, sign, f"{weight!r}*{text}")

    def __str__(self) -> str:
        return self.text + {1: " ↑", -1: " ↓"}.get(self.sign or 0, "")


def derive(runs: Evaluations, definitions: Definitions) -> Evaluations:
    """Add targets that are computed from others within each run.

    Parameters
    ----------
    runs : Evaluations
    definitions : str, sequence of str, or mapping of name to expression
        ``"overall=mean(bpb/*)"``, several of them, or ``{"overall": "mean(bpb/*)"}``; ``overall:up`` states a
        direction. Later ones may use earlier ones: ``["math=mean(gsm*, minerva*)", "all=mean(math, code)"]``.

    Returns
    -------
    Evaluations
        All targets of the runs, then the derived ones. ``notes["derived"]`` holds the definitions with all names and
        numbers written out, so that ``truth.derive(runs.notes["derived"])`` computes the very same targets elsewhere.

    Raises
    ------
    EvaluationsError
        For an expression that cannot be read, an unknown target, members whose directions differ, or members that
        were never measured in one run.

    Examples
    --------
    >>> from interplay import Evaluations
    >>> runs = Evaluations.from_arrays([[1, 0], [0, 1]], [[0.2, 0.4], [0.9, 0.5]], targets=["a/acc", "b/acc"])
    >>> runs = derive(runs, {"overall": "mean(*)", "hard": "worst(a/acc, b/acc)"})
    >>> runs.targets[2:], runs.higher_is_better[2:], runs.values[:, 2:].round(2).tolist()
    (('overall', 'hard'), (True, True), [[0.3, 0.2], [0.7, 0.5]])
    """
    earlier = runs.notes.get("derived")
    made: dict[str, str] = dict(earlier) if isinstance(earlier, dict) else {}
    derived = {_head(key)[0] for key in made}
    measured = [t for t in runs.targets if t not in derived]
    signs = (1 if up else -1 for up in runs.higher_is_better)
    table = {t: Column(y, s, quoted(t)) for t, y, s in zip(runs.targets, runs.values.T, signs, strict=True)}
    said: list[str] = []
    for one in parse(definitions):
        if one.name in table:
            raise EvaluationsError(f"there is a target {one.name!r} already; give the derived one a name of its own.")
        with _located(one.text):
            column = _computed(one, table, measured, said)
        made[f"{one.name}:{'up' if column.sign == 1 else 'down'}"] = column.text
        table[one.name] = replace(column, text=quoted(one.name))
    return replace(
        runs,
        values=np.stack([c.values for c in table.values()], axis=1),
        targets=tuple(table),
        higher_is_better=tuple(c.sign == 1 for c in table.values()),
        notes={**runs.notes, "derived": made},
        warnings=(*runs.warnings, *said),
    )


def parse(definitions: Definitions) -> tuple[Definition, ...]:
    """Read definitions; what cannot be read is an error that shows where."""
    if not isinstance(definitions, Mapping):
        texts = [definitions] if isinstance(definitions, str) else definitions
        return tuple(_definition(*text.partition("=")[::2]) for text in texts)
    return tuple(_definition(head, text) for head, text in definitions.items())


class FormulaError(EvaluationsError):
    """A definition that cannot be read or computed.

    Attributes
    ----------
    text : str
        The definition.
    reason : str
        What is wrong with it, and the remedy.
    """

    def __init__(self, text: str, reason: str):
        self.text, self.reason = text, reason
        super().__init__(text, reason)  # what a pickle keeps

    def __str__(self) -> str:
        return f"{_short(self.text)}: {self.reason}"


def _definition(head: str, text: str) -> Definition:
    if not text.strip():
        raise EvaluationsError(f"{head!r} defines nothing. {_FORM}")
    name, up = _head(head)
    written = text.strip() if name == text.strip() else f"{head.strip()}={text.strip()}"
    with _located(written):
        code, members = _code(text.strip())
        try:
            tree = ast.parse(code, mode="eval").body
        except SyntaxError:
            raise EvaluationsError("its brackets do not match, or are nested too deeply.") from None
    return Definition(name, up, members, tree, written)


def _head(text: str) -> tuple[str, bool | None]:
    if (found := _HEAD.fullmatch(text)) is None:
        raise EvaluationsError(f"{text!r} names no target. {_FORM}")
    return found["quoted"] or found["bare"], None if found["way"] is None else found["way"] == "up"


def _code(text: str) -> tuple[str, tuple[str, ...]]:
    """Replace targets by ``_0``, ``_1``, ... so that what is left is an expression of Python's."""
    code, members, at, operand = "", [], 0, True
    while at < len(text) or operand:
        found = (_OPERAND if operand else _OPERATOR).match(text, at)
        if found is None:
            wanted = "a target, a number or a function" if operand else "an operator"
            raise EvaluationsError(f"{wanted} is expected at {text[at:].strip()[:40] or 'the end'!r}. {_RULE}")
        kind, at = str(found.lastgroup), found.end()
        token = found[kind]
        if kind == "function" and token not in FUNCTIONS:
            raise EvaluationsError(f"{token!r} is no function; there are {', '.join(FUNCTIONS)}. {_RULE}")
        if kind in ("quoted", "bare"):
            members.append(token[1:-1] if kind == "quoted" else token)
            token = f"_{len(members) - 1}"
        code += token
        operand = kind in ("open", "function", "infix")
    return code, tuple(members)


@dataclass(frozen=True, eq=False)
class _Computation:
    """Computes one definition from the columns that are known so far; what its reader should know is in `said`."""

    members: tuple[str, ...]
    table: Mapping[str, Column]
    measured: Sequence[str]
    said: list[str]

    def columns(self, node: ast.expr) -> list[Column]:
        """Return the columns that an expression stands for: several for a glob."""
        match node:
            case ast.Constant(value=int() | float() as number):
                return [Column.of(number)]
            case ast.Name(id=key):
                return self.named(self.members[int(key[1:])])
            case ast.UnaryOp(op=ast.USub(), operand=part):
                return [column.times(-1.0) for column in self.columns(part)]
            case ast.BinOp(left=left, op=op, right=right):
                return self.combined(op, self.columns(left), self.columns(right))
            case ast.Call(func=ast.Name(id=function), args=parts):
                once = {column.text: column for part in parts for column in self.columns(part)}
                return [self.reduced(function, list(once.values()))]
        raise EvaluationsError("a list of targets needs a function before it: mean(...), sum(...), worst(...).")

    def named(self, pattern: str) -> list[Column]:
        """Return a target by its name, or the measured ones that a glob matches."""
        if pattern in self.table:
            return [self.table[pattern]]
        try:
            return [self.table[name] for name in match(pattern, self.measured, "target")]
        except EvaluationsError as error:
            raise EvaluationsError(f"{error} {_RULE}") from None

    def combined(self, op: ast.operator, a: list[Column], b: list[Column]) -> list[Column]:
        """Add, subtract, multiply or divide."""
        if isinstance(op, ast.Add | ast.Sub):
            second = _single(b)
            return [self.reduced("+", [_single(a), second.times(-1.0) if isinstance(op, ast.Sub) else second])]
        if isinstance(op, ast.Div):
            if not b[0].number:
                raise EvaluationsError("targets can be divided by numbers other than 0 only.")
            return [column.times(1.0 / b[0].number) for column in a]
        a, b = (b, a) if b[0].number is None else (a, b)
        if b[0].number is None:
            raise EvaluationsError("a product of targets has no direction; one side of * must be a number.")
        return [column.times(b[0].number) for column in a]

    def reduced(self, function: str, columns: list[Column]) -> Column:
        """Apply a function to columns, in each run."""
        signs = {column.sign for column in columns} - {0}
        sign = signs.pop() if len(signs) == 1 else None if signs else 0
        if function == "worst":
            if not sign:
                raise EvaluationsError(
                    f"worst({listed(list(map(str, columns)))}): which is worst is unclear, since directions differ. "
                    "Turn some with a minus, as in worst(acc, -loss), or take min or max."
                )
            function = "min" if sign == 1 else "max"
        if function == "mean_z":
            function, columns = "mean", [self.standardised(column) for column in columns]
        values = np.stack(np.broadcast_arrays(*(column.values for column in columns)), axis=-1)
        texts = [column.text for column in columns]
        if values.ndim == 2:
            self.said.extend(_remarks(function, texts, values[np.isfinite(values).all(axis=1)]))
        text = f"({' + '.join(texts)})" if function == "+" else f"{function}({', '.join(texts)})"
        return Column(REDUCE[function](values, axis=-1), sign, text)

    def standardised(self, column: Column) -> Column:
        """(y - mean) / standard deviation over the runs; 0 where nothing varies."""
        y = column.values[np.isfinite(column.values)]
        mean, deviation = (float(y.mean()), float(y.std())) if y.size else (0.0, 0.0)
        weight = 1.0 / deviation if deviation > 1e-12 * abs(mean) else 0.0
        return self.reduced("+", [column.times(weight), Column.of(-mean * weight)])


def _computed(one: Definition, table: Mapping[str, Column], measured: Sequence[str], said: list[str]) -> Column:
    """Compute a derived target, settle its direction, and say what its reader should know."""
    computation = _Computation(one.members, table, measured, [])
    column = _single(computation.columns(one.tree))
    if column.number is not None:
        raise EvaluationsError("it uses no target; name at least one.")
    sign = column.sign if one.up is None else 1 if one.up else -1
    if sign is None:
        form = f"x:up={one.text}" if one.text == one.name else f"{one.name}:up=..."
        used = dict.fromkeys(str(column) for pattern in one.members for column in computation.named(pattern))
        raise EvaluationsError(
            f"its parts pull both ways ({listed(list(used))}; a minus turns one round), so its direction is unclear. "
            f"State it ({form} where higher is better, or :down), turn some round, or correct theirs with "
            "higher_is_better (--higher-is-better, --lower-is-better)."
        )
    gaps = np.isnan(column.values)
    if gaps.all():
        raise EvaluationsError("no run has all of its members, so it has no value anywhere. Leave some of them out.")
    if gaps.any():
        computation.said.append(f"no value in {gaps.sum()} of {len(gaps)} runs, where a member was not measured")
    said += [f"{_short(one.name)}: {words}" for words in dict.fromkeys(computation.said)]
    return replace(column, sign=sign)


def _single(columns: list[Column]) -> Column:
    if len(columns) > 1:
        raise EvaluationsError(
            f"a glob stands for {len(columns)} targets here ({listed([c.text for c in columns], 3)}). Say what is made "
            "of them: mean(...), sum(...), worst(...)."
        )
    return columns[0]


def _remarks(function: str, texts: Sequence[str], values: Array) -> list[str]:
    """Say which of the columns (m, n) of a sum outweighs others by its scale alone, or decides an extreme by itself."""
    if function == "median" or len(texts) == 1 or not len(values):
        return []
    if function in ("min", "max"):
        alone = np.flatnonzero((values == REDUCE[function](values, axis=1, keepdims=True)).all(axis=0))
        return [f"it is {texts[k]} in every run, and the other {len(texts) - 1} never decide it" for k in alone[:1]]
    spread = np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), 0.0)
    order = [k for k in np.argsort(spread) if spread[k] > 0]
    if not order or spread[order[-1]] <= UNLIKE * spread[order[len(order) // 4]]:
        return []
    wide, narrow = order[-1], order[len(order) // 4]
    return [
        f"{texts[wide]} varies {spread[wide] / spread[narrow]:.0f} times as much between the runs as {texts[narrow]}, "
        "which hardly counts; mean_z(...) weighs all alike"
    ]


def quoted(name: str) -> str:
    """A name as it stands in a definition."""
    quote = next((q for q in "'\"`" if q not in name), '"')
    return f"{quote}{name}{quote}"


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"


@contextmanager
def _located(text: str) -> Iterator[None]:
    """Put the definition before the words of an error in it."""
    try:
        yield
    except EvaluationsError as error:
        raise FormulaError(text, str(error)) from None
    except RecursionError:
        raise FormulaError(text, "too long a sum; write sum(...), or define its parts first.") from None
