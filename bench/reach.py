"""What a trainer may reach: the modules it may import, and the ways round that its text must not take.

A trainer needs arithmetic, its data and its own files. All else is refused by name, before it runs. This is a first
look, not the wall: the sandbox and the judge stop what gets past it.
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from bench.names import Names, dotted, source_of


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


MODULES = _set(
    """__future__ abc array ast base64 binascii bisect bz2 cmath codecs collections contextlib copy dataclasses datetime
    decimal enum errno fractions functools gc glob gzip hashlib heapq io itertools json logging lzma math mlx numbers
    numpy operator os pathlib pprint random re sentencepiece statistics string struct sys textwrap time trainer
    traceback types typing unicodedata warnings weakref zlib zstandard"""
)
"""What may be imported, with what lies below it."""

MEMBERS = {
    "os": _set(
        """PathLike cpu_count environ fspath fsync getcwd getenv getrandom linesep listdir makedirs path remove rename
        replace sep stat unlink urandom"""
    ),
    "sys": _set(
        """argv byteorder exit float_info getrecursionlimit getsizeof hash_info int_info intern maxsize platform
        set_int_max_str_digits setrecursionlimit stderr stdout version version_info"""
    ),
    "gc": _set("collect disable enable freeze isenabled unfreeze"),
    "types": _set("EllipsisType GenericAlias MappingProxyType NoneType SimpleNamespace UnionType"),
}
"""Modules of which a trainer may use these members only. (Numbers drawn by `os` are the business of bench/seeds.py.)"""

OUTSIDE = _set(
    """builtins ctypes ctypeslib f2py importlib inspect marshal mmap multiprocessing pickle posix runpy shutil
    subprocess threading"""
)
"""Modules that are not to be reached through another one either, as in `pathlib.os` or `numpy.ctypeslib`."""
BELOW = ("logging.config", "logging.handlers", "mlx.core.distributed")
"""Parts of permitted modules that open sockets."""

BUILTINS = _set("__builtins__ __import__ __loader__ __spec__ breakpoint compile eval exec globals")
HIDDEN = _set(
    """__base__ __bases__ __builtins__ __closure__ __code__ __doc__ __func__ __globals__ __import__ __loader__ __mro__
    __reduce__ __reduce_ex__ __self__ __setstate__ __spec__ __subclasses__ ag_frame cr_frame f_back f_builtins f_globals
    f_locals gi_frame tb_frame"""
)
"""Attributes that lead out of an object into the interpreter, or into text that is no code."""


class Finding(NamedTuple):
    """Something in a file that a new file may not hold."""

    reason: str
    what: str
    """What it is, whichever file and line it stands in."""
    line: int
    advice: str


def findings(module: ast.Module, names: Names) -> Iterator[Finding]:
    """What a file reaches for that a trainer may not: `forbidden_import` and `forbidden_call`."""
    owners = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    docstrings = set(map(id, docstrings_of(module)))
    for node in ast.walk(module):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield from _module(alias.name, node.lineno)
            case ast.ImportFrom():
                for alias in node.names:
                    yield from _module(source_of(node), node.lineno)
                    yield from _path(f"{source_of(node)}.{alias.name}", node.lineno, handed_on=False)
            case ast.Attribute(attr=name) if name in HIDDEN:
                yield _call(name, node.lineno, "use the object's public attributes")
            case ast.Name(id=name) if name in BUILTINS and name not in names:
                yield _call(name, node.lineno, "write the code out")
            case ast.keyword(arg="allow_pickle", value=value) if not _is_false(value):
                yield _call("allow_pickle", value.lineno, "store arrays without pickle")
            case ast.Constant(value=str()) | ast.BinOp(op=ast.Add()) if id(node) not in docstrings:
                if _text(node) in HIDDEN:
                    yield _call(_text(node), node.lineno, "name attributes in the open")
        if isinstance(node, ast.Attribute | ast.Name) and (path := dotted(node, names)):
            yield from _path(path, node.lineno, handed_on=id(node) not in owners)


def docstrings_of(module: ast.Module) -> Iterator[ast.Constant]:
    """Strings that stand as a statement: docstrings, and those below an assignment that explain it."""
    for node in ast.walk(module):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def _module(name: str, line: int) -> Iterator[Finding]:
    parts = name.split(".")
    if parts[0] not in MODULES or not OUTSIDE.isdisjoint(parts) or _is_below(name):
        yield _import(name, line)


def _path(path: str, line: int, *, handed_on: bool) -> Iterator[Finding]:
    """Judge a dotted path by the last module in it that is watched: `pathlib.os.system` is `os.system`."""
    parts = path.split(".")
    if _is_below(path):
        yield _import(next(name for name in BELOW if path.startswith(name)), line)
    for index in range(len(parts) - 1, -1, -1):
        name = parts[index].lstrip("_")
        if name in OUTSIDE and index > 0:
            yield _import(name, line)
        elif name in MEMBERS and (index == 0 or name in ("os", "sys")):
            member = parts[index + 1] if index + 1 < len(parts) else None
            if member is None and handed_on:
                yield _call(f"{name} as a value", line, f"write {name}.MEMBER where it is used")
            elif member is not None and member not in MEMBERS[name]:
                yield _call(f"{name}.{member}", line, f"of {name} a trainer may use {_few(MEMBERS[name])}")
            return


def _is_below(path: str) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in BELOW)


def _import(name: str, line: int) -> Finding:
    return Finding("forbidden_import", name, line, "a trainer may import mlx, numpy and harmless standard modules")


def _call(what: str, line: int, advice: str) -> Finding:
    return Finding("forbidden_call", what, line, advice)


def _few(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)[:6]) + ", …"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _text(node: ast.AST) -> str:
    """The text of a string, or of strings that are added up; nothing for all else."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
        case _:
            return ""
