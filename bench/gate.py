"""The gate: what can be said against a candidate from its text alone, before anything of it runs.

Only what is new is judged: what the champion's tree holds already is never held against a candidate, and a tree that a
person measures by hand does not come here. The gate is a first look that saves compute and names the plainest ways to
cheat; the sandbox and the judge are what stop one.
"""

import ast
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache

from bench import reach, seeds
from bench.errors import ProposalError
from bench.files import is_plain
from bench.names import Names, names_of
from bench.source import parsed

Tree = Mapping[str, bytes]

KINDS = (".py", ".md", ".txt", ".json")
MOST_LINES = 2_000
"""Lines a candidate may add: the whole shipped trainer has some 1,300, so it may be written anew."""
MOST_BYTES = 100_000
"""Bytes of the lines that a candidate adds; the caps on artifact and code allow about a tenth of it at `tiny`."""
LONGEST_LITERAL = 2_000
"""Characters of literals that one statement may add, a number counted as its digits and three more: about 500 small
numbers or twenty lines of text. The longest statement of the shipped trainer has 1,166."""
MOST_LITERALS = 8_000
"""The same for a candidate as a whole: the shipped trainer, all of it, has 5,575."""

REMEMBERED = 256
"""Files whose syntax is kept: the champion's are the same from one candidate to the next."""
DEEPEST = 200
"""Levels of a syntax tree: what is nested deeper is no trainer, and could overrun whoever reads it."""


def check(tree: Tree, parent: Tree) -> None:
    """Refuse a candidate, `tree`, made from the champion, `parent`, for what its text shows.

    Raises ProposalError with one of the reasons `not_a_trainer_file`, `diff_too_large`, `does_not_parse`,
    `long_literal`, `forbidden_import`, `forbidden_call` and `fixed_seed`; its detail says where and what to do instead.
    """
    changed = {path: content for path, content in tree.items() if parent.get(path) != content}
    _check_files(changed, tree)
    _check_size(changed, parent)
    before, after = _parse_all(parent, must=()), _parse_all(tree, must=changed)
    _check_literals(changed, before, after)
    _check_findings(changed, before, after)


def _check_files(changed: Tree, tree: Tree) -> None:
    alike = Counter(path.casefold() for path in tree)
    for path, content in changed.items():
        if not is_plain(path) or not path.startswith("trainer/"):
            raise _refusal("not_a_trainer_file", path, "is no plain path under trainer/; only that folder may change")
        if not path.endswith(KINDS):
            raise _refusal("not_a_trainer_file", path, f"is none of {', '.join(KINDS)}; write it as one")
        if alike[path.casefold()] > 1:
            raise _refusal("not_a_trainer_file", path, "differs from another file in capitals only; rename it")
        if b"\0" in content or not _is_text(content):
            raise _refusal("not_a_trainer_file", path, "is not UTF-8 text; only text may be proposed")


def _check_size(changed: Tree, parent: Tree) -> None:
    added = [line for path in changed for line in _added(changed[path], parent.get(path, b""))]
    if len(added) > MOST_LINES:
        raise ProposalError("diff_too_large", f"it adds {len(added):,} lines; {MOST_LINES:,} may be: propose less")
    if (size := sum(map(len, added))) > MOST_BYTES:
        raise ProposalError("diff_too_large", f"it adds {size:,} bytes; {MOST_BYTES:,} may be: propose less")


def _added(after: bytes, before: bytes) -> Iterator[bytes]:
    return (Counter(after.splitlines()) - Counter(before.splitlines())).elements()


def _check_literals(changed: Tree, before: Mapping[str, ast.Module], after: Mapping[str, ast.Module]) -> None:
    total = 0
    known: Counter[tuple[type, object]] = Counter()
    for path in changed:
        if path in before:
            known += Counter(_kind(one) for statement in _statements(before[path]) for one in _constants(statement))
    for path, content in changed.items():
        if not path.endswith(".py"):
            if len(content) > LONGEST_LITERAL:
                told = f"holds {len(content):,} bytes that the code could read; {LONGEST_LITERAL:,} may be"
                raise _refusal("long_literal", path, told)
            continue
        for statement in _statements(after[path]):
            size = 0
            for one in _constants(statement):
                if known[_kind(one)] > 0:
                    known[_kind(one)] -= 1
                else:
                    size += _size(one.value)
            if size > LONGEST_LITERAL:
                told = f"{size:,} characters of literals in one statement; {LONGEST_LITERAL:,} may be: train it instead"
                raise _refusal("long_literal", f"{path}:{statement.lineno}", told)
            total += size
    if total > MOST_LITERALS:
        told = f"it adds {total:,} characters of literals; {MOST_LITERALS:,} may be: train what they say instead"
        raise ProposalError("long_literal", told)


def _statements(module: ast.Module) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(module) if isinstance(node, ast.stmt))


def _constants(statement: ast.stmt) -> Iterator[ast.Constant]:
    """The literals of a statement, less docstrings and what belongs to the statements below it."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return
    waiting: list[ast.AST] = [node for node in ast.iter_child_nodes(statement) if not isinstance(node, ast.stmt)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant):
            yield node
        waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]


def _kind(node: ast.Constant) -> tuple[type, object]:
    return type(node.value), node.value


def _size(value: object) -> int:
    """Characters that a literal takes, as near as matters; never written out, for that is slow for long numbers."""
    match value:
        case str() | bytes():
            return len(value)
        case bool() | None:
            return 4
        case int():
            return 4 + value.bit_length() * 3 // 10
        case _:
            return len(repr(value)) + 3


def _check_findings(changed: Tree, before: Mapping[str, ast.Module], after: Mapping[str, ast.Module]) -> None:
    known = {(one.reason, one.what) for _, one in _findings(before, before)}
    for path, one in _findings(after, changed):
        if (one.reason, one.what) not in known:
            raise _refusal(one.reason, f"{path}:{one.line}", f"{one.what}; {one.advice}")


def _findings(modules: Mapping[str, ast.Module], wanted: Mapping[str, object]) -> Iterator[tuple[str, reach.Finding]]:
    takes = seeds.read((module, _names(module)) for module in modules.values())
    for path, module in modules.items():
        if path in wanted:
            yield from ((path, one) for one in _in_file(module, takes))


@lru_cache(REMEMBERED)
def _in_file(module: ast.Module, takes: seeds.Takes) -> tuple[reach.Finding, ...]:
    # What draws from the machine is no permitted import either, and is named for what it does.
    found = [*seeds.findings(module, _names(module), takes), *reach.findings(module, _names(module))]
    return tuple(sorted(found, key=lambda one: one.line))


def _parse_all(tree: Tree, *, must: Collection[str]) -> dict[str, ast.Module]:
    """The Python files of a tree. One that does not parse is refused where it must, and left out elsewhere."""
    modules = {}
    for path, content in tree.items():
        if path.endswith(".py"):
            try:
                modules[path] = _parsed(content)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                if path in must:
                    line = getattr(error, "lineno", None) or 1
                    raise _refusal("does_not_parse", f"{path}:{line}", str(error)) from None
    return modules


@lru_cache(REMEMBERED)
def _parsed(content: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape is a warning about the candidate
        module = parsed(content)
    level: list[ast.AST] = [module]
    for _ in range(DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise SyntaxError(f"is nested more than {DEEPEST} levels deep; split it")
    return module


@lru_cache(REMEMBERED)
def _names(module: ast.Module) -> Names:
    return names_of(module)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refusal(reason: str, where: str, what: str) -> ProposalError:
    return ProposalError(reason, f"{where}: {what}" if ":" in where else f"{where} {what}")
