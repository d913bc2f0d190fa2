"""Fast forms that a proposal left behind.

`trainer/fast.py` holds hand-written twins of plain forms in `trainer/model.py`; its literal `TWINS` says, for each,
which plain definitions it mirrors. A proposal that edits one of those alone would be measured with the old twin in its
place, which is the champion under the proposal's name: such a twin is taken out of `TWINS`, so that the candidate runs
what it changed.
"""

import ast

from agent.tree import Tree, parse, without_docstrings
from bench.errors import ProposalError

MODEL = "trainer/model.py"
FAST = "trainer/fast.py"
TABLE = "TWINS"


def without_stale(before: Tree, after: Tree) -> dict[str, bytes]:
    """`after`, with the twins dropped whose plain definitions differ from `before`'s while `fast.py` is the same.

    A proposal that edits `fast.py` too answers for its twins itself. Raises ProposalError("bad_twins") where `TWINS` is
    not a literal of the form {twin: (plain definition, …)}.
    """
    result = dict(after)
    if FAST not in after or before.get(FAST) != after[FAST]:
        return result
    found = next((one for one in parse(after[FAST]).body if TABLE in _names(one)), None)
    node = found.value if isinstance(found, ast.Assign | ast.AnnAssign) else None
    if node is None:
        return result
    twins = _table(node)
    old, new = (_definitions(tree.get(MODEL, b"")) for tree in (before, after))
    fresh = {twin: plain for twin, plain in twins.items() if all(old.get(name) == new.get(name) for name in plain)}
    if fresh != twins:
        lines = after[FAST].splitlines(keepends=True)
        start, end = node.lineno - 1, node.end_lineno or node.lineno
        head, tail = lines[start][: node.col_offset], lines[end - 1][node.end_col_offset :]
        lines[start:end] = [head + repr(fresh).encode() + tail]
        result[FAST] = b"".join(lines)
    return result


def _table(node: ast.expr) -> dict[str, tuple[str, ...]]:
    try:
        table = ast.literal_eval(node)
        return {str(twin): tuple(map(str, plain)) for twin, plain in table.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ProposalError("bad_twins", f"{TABLE} in {FAST} must be {{twin: (plain definition, ...)}}") from error


def _definitions(source: bytes) -> dict[str, str]:
    """What each top-level name of a module stands for, docstrings and layout left out."""
    body = without_docstrings(source).body
    return {name: ast.dump(statement) for statement in body for name in _names(statement)}


def _names(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []
