"""A tree: the files of `trainer/` as `{path: bytes}`, how two of them are told apart, and how a difference is shown.

Paths are relative to the repository and use forward slashes: `trainer/model.py`.
"""

import ast
import difflib
import warnings
from collections.abc import Mapping

from bench.files import tree_key
from bench.source import parsed

Tree = Mapping[str, bytes]


def parse(source: bytes) -> ast.Module:
    """Return the syntax tree of a Python file that compiles; it is never run. Raises SyntaxError and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape is a warning about the candidate, not about this program
        try:
            module = parsed(source)
            # `return` outside a function and its like are found by the compiler, not by the parser
            compile(module, "<candidate>", "exec", dont_inherit=True)
        except SyntaxError:
            raise
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error) or "nested too deeply") from error
    return module


def syntax_key(tree: Tree) -> str:
    """SHA-256 (hex) over what a tree means: equal where only comments, layout or docstrings differ.

    Python files count by their syntax tree, the others (and Python files that do not parse) by their bytes. Syntax
    trees are dumped differently by different versions of Python: compare keys made by the same one.
    """
    return tree_key({path: _meaning(path, data) for path, data in tree.items()})


def without_docstrings(source: bytes) -> ast.Module:
    """The syntax tree of a Python file less its docstrings. Raises SyntaxError."""
    module = parse(source)
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            del node.body[0]
    return module


def _meaning(path: str, data: bytes) -> bytes:
    if not path.endswith(".py"):
        return data
    try:
        return ast.dump(without_docstrings(data), annotate_fields=False).encode("utf-8", "backslashreplace")
    except (SyntaxError, RecursionError):
        return data


def unified(old: Tree, new: Tree, context: int = 3) -> str:
    """Return the unified diff of two trees, in the form that `git apply` takes; empty where they are equal.

    A change is shown with `context` lines around it.

    Files that are not UTF-8 are named as binary, without their content.
    """
    parts: list[str] = []
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        parts.append(f"diff --git a/{path} b/{path}\n")
        if before is None:
            parts.append("new file mode 100644\n")
        if after is None:
            parts.append("deleted file mode 100644\n")
        source = "/dev/null" if before is None else f"a/{path}"
        target = "/dev/null" if after is None else f"b/{path}"
        try:
            lines = difflib.unified_diff(
                _lines((before or b"").decode()), _lines((after or b"").decode()), source, target, n=context
            )
        except UnicodeDecodeError:
            parts.append(f"Binary files {source} and {target} differ\n")
            continue
        parts.extend(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)
    return "".join(parts)


def _lines(text: str) -> list[str]:
    """Split after each newline and nowhere else: `str.splitlines` also splits at form feeds and their like."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
