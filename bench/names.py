"""What the names of a Python file stand for, as far as its text tells: read from the syntax tree, never run."""

import ast
from collections.abc import Mapping

Names = Mapping[str, str]
"""Dotted paths by local name: `{"mx": "mlx.core", "rng": "numpy.random.default_rng"}`."""


def names_of(module: ast.Module) -> Names:
    """Every imported name of a file, wherever in it, and every name that such a one is assigned to."""
    names: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names |= {alias.asname: alias.name} if alias.asname else {top: top}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{source_of(node)}.{alias.name}" for alias in node.names}
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and (path := dotted(node.value, names)):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    names.setdefault(target.id, path)
    return names


def source_of(node: ast.ImportFrom) -> str:
    """The module that a `from … import` reads; a relative one is `trainer`'s."""
    module = node.module or ""
    return f"trainer.{module}".rstrip(".") if node.level else module


def dotted(node: ast.expr, names: Names) -> str | None:
    """The dotted path of a name or attribute that leads back to an import, or None."""
    trail: list[str] = []
    while isinstance(node, ast.Attribute):
        trail.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return None
    return ".".join([names[node.id], *reversed(trail)])
