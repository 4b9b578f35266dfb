"""What a user's function is: a digest of its code, and the values that it takes from around it.

The digest is of the syntax tree without comments, docstrings, annotations of arguments and layout; it follows the
functions and classes of the user's own that the code names, and leaves out libraries. Values are those that the code
reads: bound arguments and defaults, variables of enclosing functions, globals, attributes of the object. A variable
that the code itself changes (a counter, a cache) is no setting and is left out, and so are locations on a disk.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .digests import UNKNOWN, described, digest

__all__ = ["canonical", "code_of", "digest_of_model", "digest_of_source", "name_of", "names_in"]

_CHANGES = frozenset(
    (
        "append",
        "add",
        "update",
        "extend",
        "insert",
        "setdefault",
        "pop",
        "popitem",
        "remove",
        "discard",
        "clear",
        "sort",
    )
)
_LIBRARIES = tuple({sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib")})
_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep


def code_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what tells a function from another, JSON-able; the same in every process and version of Python.

    Returns
    -------
    dict
        ``function``, its name; ``code``, a digest, where the source is at hand; ``argument.NAME``, ``closure.NAME``,
        ``global.NAME``, ``self.NAME``: the values that it reads, or their digests.

    Examples
    --------
    >>> def train(mask, seed, lr=0.1):
    ...     return {"loss": lr}
    >>> code_of(functools.partial(train, lr=0.3))["argument.lr"]
    0.3
    """
    reader = _Reader()
    reader.read_callable(function)
    found: dict[str, Any] = {"function": name_of(function)}
    if reader.codes:
        found["code"] = digest(sorted(reader.codes))
    for (kind, name), values in reader.values.items():
        root = name.split(".")[0]
        if (kind != "argument" and (root in reader.changed or f"{kind}.{root}" in reader.changed)) or UNKNOWN in values:
            continue
        distinct = list({digest(value): value for value in values}.values())
        found[f"{kind}.{name}"] = distinct[0] if len(distinct) == 1 else distinct
    return found


def name_of(function: Callable[..., Any]) -> str:
    """Name of a function, a partial, a method or an object that is called."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name.rpartition("<locals>.")[2]


def names_in(function: Callable[..., Any]) -> frozenset[str]:
    """Names that the code of a function mentions, those of imports inside it included."""
    while isinstance(function, functools.partial):
        function = function.func
    target: Any = inspect.unwrap(function)
    target = getattr(target, "__func__", target)
    code = getattr(target, "__code__", None) or getattr(type(target).__call__, "__code__", None)
    found: set[str] = set()
    todo = [code] if code is not None else []
    while todo:
        one = todo.pop()
        found |= {part for name in one.co_names for part in name.split(".")}
        todo += [constant for constant in one.co_consts if isinstance(constant, types.CodeType)]
    return frozenset(found)


def digest_of_source(text: str) -> str:
    """Return a digest of a Python file that ignores comments, docstrings and layout; of the text if it is no Python."""
    try:
        return digest(canonical(ast.parse(text)))
    except (SyntaxError, ValueError):
        return digest(text)


def digest_of_model(model: Any) -> str:
    """Return a digest of what a torch module computes, apart from its weights: its layers, and the user's own code."""
    own = {type(layer) for layer in model.modules() if not type(layer).__module__.startswith("torch.")}
    return digest(repr(model), sorted(code_of(kind).get("code", "") for kind in own))


def canonical(node: Any) -> str:
    r"""Write a syntax tree as text that does not depend on layout, documentation or the version of Python.

    Examples
    --------
    >>> canonical(ast.parse("x = 1  # one")) == canonical(ast.parse("'''Doc.'''\nx = (1)"))
    True
    """
    if isinstance(node, list):
        kept = [n for n in node if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
        return f"[{','.join(canonical(n) for n in kept)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Constant):
        return f"Constant({type(node.value).__name__} {node.value!r})"
    if isinstance(node, ast.JoinedStr):  # versions of Python cut the text between fields differently
        texts: list[str] = []
        for n in node.values:
            text = isinstance(n, ast.Constant)
            if text and texts and texts[-1].startswith("'"):
                texts[-1] += str(n.value)
            elif not text or n.value:
                texts.append(f"'{n.value}" if text else canonical(n))
        return f"JoinedStr({','.join(texts)})"
    skip = {"ctx", "kind", "type_comment", "type_ignores", "returns"}
    if isinstance(node, ast.arg):
        skip.add("annotation")
    parts = (f"{k}={canonical(v)}" for k, v in ast.iter_fields(node) if k not in skip and v is not None and v != [])
    return f"{type(node).__name__}({','.join(parts)})"


class _Reader:
    """Follows a function through the user's own code; gathers code, values and the names that are changed."""

    def __init__(self) -> None:
        self.codes: list[tuple[str, str]] = []
        self.values: dict[tuple[str, str], list[Any]] = {}
        self.changed: set[str] = set()
        self._seen: set[int] = set()
        self._trees: dict[str, ast.Module | None] = {}

    def read_callable(self, target: Any) -> None:
        """Read the function of a run, with what is bound to it."""
        if isinstance(target, functools.partial):
            for name, value in [*((str(i), v) for i, v in enumerate(target.args)), *target.keywords.items()]:
                self._value("argument", name, value)
            bound = {("argument", name): list(self.values[("argument", name)]) for name in target.keywords}
            self.read_callable(target.func)
            self.values |= bound  # bound arguments stand in the place of defaults
        elif inspect.ismethod(target):
            self._read_object(target.__self__, target.__func__)
        elif isinstance(target, types.FunctionType):
            for name, parameter in inspect.signature(target, follow_wrapped=False).parameters.items():
                if parameter.default is not inspect.Parameter.empty:
                    self._value("argument", name, parameter.default)
            self._read_function(target)
        elif isinstance(target, type):
            self._read_class(target)
        elif not isinstance(target, types.BuiltinFunctionType):
            self._read_object(target, type(target).__call__)

    def _read_object(self, owner: Any, method: Any) -> None:
        if isinstance(owner, type):
            self._read_class(owner)
        else:
            for kind in type(owner).__mro__:
                self._read_class(kind)
            for name, value in sorted(getattr(owner, "__dict__", {}).items()):
                self._value("self", name, value)
        if isinstance(method, types.FunctionType):
            self._read_function(method)

    def _read_function(self, function: types.FunctionType) -> None:
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        node = self._node_of(function)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for name, cell in cells.items():
            try:
                value = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            self._met("closure", name, value, node)
        if node is None:
            return
        self.codes.append((function.__qualname__.rpartition("<locals>.")[2], canonical(node)))
        self._read_tree(node, function.__globals__, set(cells))

    def _read_class(self, kind: type) -> None:
        if id(kind) in self._seen or not _is_own(kind):
            return
        self._seen.add(id(kind))
        functions = [
            f for f in vars(kind).values() if isinstance(f, types.FunctionType) and f.__module__ == kind.__module__
        ]
        node = next((n for f in functions if (n := self._class_node(kind, f)) is not None), None)
        if node is not None:
            self.codes.append((kind.__qualname__.rpartition("<locals>.")[2], canonical(node)))
            self._read_tree(node, functions[0].__globals__, set())
        for base in kind.__bases__:
            self._read_class(base)

    def _read_tree(self, node: ast.AST, around: dict[str, Any], closed: set[str]) -> None:
        self.changed |= set(_changed(node))
        loads = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        for name in sorted(loads - closed):
            if name in around and not name.startswith("__"):
                self._met("global", name, around[name], node)

    def _met(self, kind: str, name: str, value: Any, node: ast.AST | None) -> None:
        """Take in what a name stands for: the user's own code, or a value."""
        if isinstance(value, functools.partial):
            self._met(kind, name, value.func, node)
            self._value(kind, name, [value.args, value.keywords])
        elif isinstance(value, types.FunctionType):
            if _is_own(value):
                self._read_function(value)
        elif isinstance(value, type):
            self._read_class(value)
        elif inspect.ismethod(value):
            self._met(kind, name, value.__func__, node)
        elif isinstance(value, types.ModuleType):
            for attribute in _attributes(node, name) if _is_own(value) else ():
                if hasattr(value, attribute):
                    self._met(kind, f"{name}.{attribute}", getattr(value, attribute), None)
        else:
            own = getattr(value, "__dict__", None)
            if isinstance(own, dict) and not hasattr(value, "state_dict") and not hasattr(value, "iloc"):
                for attribute in _attributes(node, name):  # of a configuration, those that are read
                    if attribute in own:
                        self._value(kind, f"{name}.{attribute}", own[attribute])
            else:
                self._value(kind, name, value)

    def _value(self, kind: str, name: str, value: Any) -> None:
        self.values.setdefault((kind, name), []).append(described(value))

    def _tree(self, function: types.FunctionType) -> ast.Module | None:
        """Return the syntax tree of the file that a function stands in."""
        file = function.__code__.co_filename
        if file not in self._trees:
            try:
                self._trees[file] = ast.parse("".join(inspect.findsource(function)[0]))
            except (OSError, TypeError, SyntaxError, ValueError, IndexError):
                self._trees[file] = None
        return self._trees[file]

    def _node_of(self, function: types.FunctionType) -> ast.AST | None:
        tree, code = self._tree(function), function.__code__
        if tree is None:
            return None
        if code.co_name == "<lambda>":
            found = [n for n in ast.walk(tree) if isinstance(n, ast.Lambda) and n.lineno == code.co_firstlineno]
            if len(found) > 1:  # several on one line: the one whose body the instructions stand for
                places, constants = set(code.co_positions()), code.co_consts
                placed = [n for n in found if _place(n.body) in places]
                # Python 3.12 gives the return of a constant no place
                found = placed or [n for n in found if isinstance(n.body, ast.Constant) and n.body.value in constants]
            return found[0] if found else None
        for n in ast.walk(tree):
            if not isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) or n.name != code.co_name:
                continue
            if code.co_firstlineno == min([n.lineno, *(d.lineno for d in n.decorator_list)]):
                return n
        return None

    def _class_node(self, kind: type, function: types.FunctionType) -> ast.AST | None:
        line, tree = function.__code__.co_firstlineno, self._tree(function)
        for n in ast.walk(tree) if tree is not None else ():
            if isinstance(n, ast.ClassDef) and n.name == kind.__name__ and n.lineno <= line <= (n.end_lineno or 0):
                return n
        return None


def _place(node: ast.expr) -> tuple[int, int | None, int, int | None]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def _attributes(node: ast.AST | None, name: str) -> list[str]:
    """Return the attributes of a name that a tree reads."""
    found = {
        n.attr
        for n in (ast.walk(node) if node is not None else ())
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == name
    }
    return sorted(found)


def _changed(node: ast.AST) -> Iterator[str]:
    """Names that a tree changes in place or assigns outside itself; attributes of self as ``self.NAME``."""

    def owner(n: ast.AST) -> Iterator[str]:
        while isinstance(n, ast.Subscript):
            n = n.value
        if isinstance(n, ast.Name):
            yield n.id
        elif isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name):
            yield f"self.{n.attr}" if n.value.id == "self" else n.value.id

    set_up = {m for f in ast.walk(node) if isinstance(f, ast.FunctionDef) and f.name == "__init__" for m in ast.walk(f)}
    for n in ast.walk(node):
        if n in set_up:
            continue
        if isinstance(n, ast.Global | ast.Nonlocal):
            yield from n.names
        elif isinstance(n, ast.Attribute | ast.Subscript) and isinstance(n.ctx, ast.Store | ast.Del):
            yield from owner(n)
        elif isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr in _CHANGES:
            yield from owner(n.func.value)


def _is_own(value: Any) -> bool:
    """Tell whether code is the user's: neither a library's nor ours."""
    name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    if name in (None, "builtins"):
        return False
    if isinstance(value, types.FunctionType):
        file = value.__code__.co_filename
    else:
        file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return name == "__main__"  # a notebook
    path = str(Path(file).resolve()) if not file.startswith("<") else file
    return not path.startswith((*_LIBRARIES, _PACKAGE)) and "site-packages" not in path
