"""Knobs: the literals of `trainer/settings.py`, read by its syntax tree (it is never imported) and rewritten in place.

    BETA2 = 0.95                                  a knob and its default
    SIZES = {"tiny": {"NUM_LAYERS": 4}, ...}      what a size class sets in place of a default
    RANGES = {"BETA2": ("linear", 0.8, 0.999)}    what a knob search may try

The value in force at a size is `SIZES[size]`'s where that names the knob, and the default elsewhere.
"""

import ast
import difflib
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeGuard

from agent.tree import parse
from bench.errors import ProposalError

PATH = "trainer/settings.py"
Value = bool | int | float | str
Kind = Literal["log", "linear", "int"]

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_WANTED = {bool: "True or False", int: "a whole number", float: "a number", str: "a quoted string"}


class Range(NamedTuple):
    """What a knob search may try: from `low` to `high`, both included, spaced by `kind`."""

    kind: Kind
    low: float
    high: float


@dataclass(frozen=True)
class Knobs:
    """What `trainer/settings.py` says."""

    defaults: Mapping[str, Value]
    sizes: Mapping[str, Mapping[str, Value]]
    ranges: Mapping[str, Range]

    def in_force(self, name: str, size: str) -> Value:
        """Return the value that a run of this size takes.

        Raises ProposalError: unknown_knob, or bad_settings where there is no such size.
        """
        if name not in self.defaults:
            near = difflib.get_close_matches(name.upper(), self.defaults, n=3)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise ProposalError("unknown_knob", f"no knob {name} in {PATH}{hint}")
        if size not in self.sizes:
            raise ProposalError("bad_settings", f"{PATH} has no size {size!r} in SIZES: {', '.join(self.sizes)}")
        return self.sizes[size].get(name, self.defaults[name])


def read_value(text: str) -> tuple[Value, str]:
    """Return a knob's value as written by a person, and its source text without surrounding space or comment.

    Raises ProposalError("bad_value") for what is not one finite number, quoted string, True or False on one line.
    """
    source = text.strip()
    try:
        match parse(source.encode()).body:
            case [ast.Expr(value=node)] if len(source.splitlines()) == 1:
                value: object = ast.literal_eval(node)
                if _is_value(value):
                    return value, ast.get_source_segment(source, node) or source
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        pass
    raise ProposalError("bad_value", f"{source!r} is not a finite number, a quoted string, True or False")


def read_knobs(source: bytes) -> Knobs:
    """Read the settings. Raises ProposalError("bad_settings") with the line where they are not plain literals."""
    nodes = _assignments(source)
    values = {name: _literal(name, node) for name, node in nodes.items()}
    sizes, ranges = values.pop("SIZES", {}), values.pop("RANGES", {})
    defaults = {name: _scalar(name, value, nodes[name]) for name, value in values.items()}
    if not isinstance(sizes, dict) or not all(isinstance(one, dict) for one in sizes.values()):
        raise _bad(nodes["SIZES"], "SIZES must be {size: {NAME: value}}")
    if not isinstance(ranges, dict):
        raise _bad(nodes["RANGES"], "RANGES must be {NAME: (kind, low, high)}")
    for size, own in sizes.items():
        for name, value in own.items():
            if name not in defaults:
                raise _bad(nodes["SIZES"], f"SIZES[{size!r}] sets {name}, which has no default")
            _scalar(name, value, nodes["SIZES"])
            if not _fits(defaults[name], value):
                wanted = _WANTED[type(defaults[name])]
                raise _bad(nodes["SIZES"], f"SIZES[{size!r}] sets {name} to {value!r}; its default makes it {wanted}")
    return Knobs(defaults, sizes, {name: _range(name, ranges[name], defaults, nodes["RANGES"]) for name in ranges})


def set_knob(source: bytes, name: str, value_text: str, size: str) -> bytes:
    """Return the settings with the value in force at `size` rewritten in place; all other bytes stay as they are.

    Raises ProposalError: unknown_knob, bad_value, no_change, bad_settings, or knob_without_effect where the value in
    force does not come out as the one asked for.
    """
    knobs = read_knobs(source)
    present = knobs.in_force(name, size)
    default = knobs.defaults[name]
    value, text = read_value(value_text)
    if not _fits(default, value):
        raise ProposalError("bad_value", f"{name} takes {_WANTED[type(default)]}, as {default!r}; got {text}")
    if value == present:
        raise ProposalError("no_change", f"{name} is {present!r} at {size} already")
    if isinstance(default, float) and isinstance(value, int):
        value = float(value)
        text = repr(value)  # a default of 1 would turn the knob into one that takes whole numbers only

    nodes = _assignments(source)
    node = nodes[name]
    if name in knobs.sizes[size]:
        node = _entry(_entry(nodes["SIZES"], size), name)
    changed = _splice(source, node, text.encode())

    expected = replace(knobs, defaults={**knobs.defaults, name: value})
    if name in knobs.sizes[size]:
        expected = replace(knobs, sizes={**knobs.sizes, size: {**knobs.sizes[size], name: value}})
    if read_knobs(changed) != expected:
        raise ProposalError("knob_without_effect", f"{name} = {text} does not come into force at {size} in {PATH}")
    return changed


def _assignments(source: bytes) -> dict[str, ast.expr]:
    """The value node of every `NAME = ...` line, which with docstrings is all that the settings may hold."""
    try:
        body = parse(source).body
    except SyntaxError as error:
        raise ProposalError("bad_settings", f"{PATH} line {error.lineno or 1}: {error.msg}") from error
    nodes: dict[str, ast.expr] = {}
    for statement in body:
        match statement:
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case ast.Assign(targets=[ast.Name(id=name)], value=node):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as node):
                pass
            case _:
                raise _bad(statement, "only lines of the form NAME = literal may stand here")
        if not _NAME.fullmatch(name):
            raise _bad(statement, f"{name} is not a knob's name: capitals, digits and underscores")
        if name in nodes:
            raise _bad(statement, f"{name} is set a second time")
        nodes[name] = node
    return nodes


def _literal(name: str, node: ast.expr) -> object:
    for part in ast.walk(node):
        if isinstance(part, ast.Dict):
            keys = [ast.dump(key) for key in part.keys if key]
            if len(keys) != len(set(keys)):
                raise _bad(part, f"{name} has the same key twice")
    try:
        value: object = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise _bad(node, f"{name} is not a literal") from error
    return value


def _is_value(value: object) -> TypeGuard[Value]:
    return isinstance(value, str) or (isinstance(value, int | float) and abs(value) <= sys.float_info.max)


def _scalar(name: str, value: object, node: ast.expr) -> Value:
    if not _is_value(value):
        raise _bad(node, f"{name} must be a finite number, a string, True or False")
    return value


def _range(name: object, given: object, defaults: Mapping[str, Value], node: ast.expr) -> Range:
    match given:
        case ("log" | "linear" | "int" as kind, int() | float() as low, int() | float() as high):
            found = Range(kind, low, high)
        case _:
            raise _bad(node, f'RANGES[{name!r}] must be ("log" | "linear" | "int", low, high)')
    wanted = int if kind == "int" else float
    if type(defaults.get(str(name))) is not wanted:
        raise _bad(node, f"RANGES[{name!r}] is {kind!r}, so the knob must have a default that is {_WANTED[wanted]}")
    if not 0 < high - low < math.inf or (kind == "log" and low <= 0) or type(low + high) not in (int, wanted):
        raise _bad(node, f"RANGES[{name!r}] is no range: {given!r}")
    return found


def _fits(default: Value, value: object) -> bool:
    """Whether a value is of its default's type; a whole number is also a float."""
    return type(value) is type(default) or (type(default) is float and type(value) is int)


def _entry(node: ast.expr, key: str) -> ast.expr:
    """The value node under `key` in a dictionary's node that `read_knobs` has found sound."""
    pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
    return next(value for name, value in pairs if isinstance(name, ast.Constant) and name.value == key)


def _splice(source: bytes, node: ast.expr, text: bytes) -> bytes:
    """Put `text` where `node` stands. Columns of the syntax tree count UTF-8 bytes, not characters."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    first = starts[node.lineno - 1] + node.col_offset
    last = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
    return source[:first] + text + source[last:]


def _bad(node: ast.stmt | ast.expr, what: str) -> ProposalError:
    return ProposalError("bad_settings", f"{PATH} line {node.lineno}: {what}")
