"""Whether a random generator gets what derives from SEED, or a number that somebody chose.

A night draws the seeds. A trainer that brings its own can be tuned until one lucky draw looks like an improvement. This
reads the text alone: what a generator is given passes where a name in it, or in what was assigned to that name, says
`seed` (or `rng`, `key`, `random`, `generator`), and does not where only literals, knobs, counters or the clock go in.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.names import Names, dotted
from bench.reach import Finding

GENERATORS = frozenset(
    {"mlx.core.random.key", "mlx.core.random.seed", "random.Random", "random.seed"}
    | {f"numpy.random.{name}" for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "RandomState", "SFC64")}
    | {f"numpy.random.{name}" for name in ("SeedSequence", "default_rng", "seed")}
)
MACHINE = ("os.getrandom", "os.urandom", "random.SystemRandom", "secrets", "uuid")
"""What draws from the machine, which no seed repeats."""
SHARED = ("random", "numpy.random")
"""Modules with a generator of their own, which draws from the machine until their `seed` is called."""
NEEDS_NO_SEED = frozenset(("BitGenerator", "Generator"))
SEEDS = frozenset(("seed", "rng_seed", "random_seed"))
"""Parameters that take a seed, whatever function they belong to."""
WORDS = ("seed", "rng", "key", "random", "generator")
"""A name with one of these in it is taken to carry the run's seed, unless the file says otherwise."""
ADVICE = "derive it from the run's seed (SEED), and let its name say `seed`"


@dataclass(frozen=True)
class Takes:
    """What the whole trainer says about seeds."""

    places: dict[str, tuple[int, bool]]
    """Functions that take a seed: its position among the arguments (`self` left out), and whether it has a default."""
    seeded: frozenset[str]
    """Those of SHARED whose `seed` is called somewhere."""

    def __hash__(self) -> int:
        return hash((frozenset(self.places.items()), self.seeded))


def read(files: Iterable[tuple[ast.Module, Names]]) -> Takes:
    """Look through all files of a trainer."""
    places: dict[str, tuple[int, bool]] = {}
    seeded: set[str] = set()
    for module, names in files:
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                for one in node.body:
                    if isinstance(one, ast.FunctionDef) and one.name == "__init__" and (found := _place(one)):
                        places[node.name] = found
            elif isinstance(node, ast.FunctionDef) and node.name != "__init__" and (found := _place(node)):
                places[node.name] = found
            elif isinstance(node, ast.Call):
                seeded |= {shared for shared in SHARED if dotted(node.func, names) == f"{shared}.seed"}
    return Takes(places, frozenset(seeded))


def _place(function: ast.FunctionDef) -> tuple[int, bool] | None:
    words = [one.arg for one in (*function.args.posonlyargs, *function.args.args) if one.arg not in ("self", "cls")]
    place = next((place for place, word in enumerate(words) if word in SEEDS), None)
    return None if place is None else (place, len(words) - place <= len(function.args.defaults))


def findings(module: ast.Module, names: Names, takes: Takes) -> Iterator[Finding]:
    """Every `fixed_seed` of a file."""
    for node, scope in list(_Scope(names).walk(module)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            source = node.module if isinstance(node, ast.ImportFrom) else None
            for alias in node.names:
                if (source or alias.name).split(".")[0] in MACHINE:
                    yield _finding(f"{source or alias.name} draws from the machine", node.lineno)
        elif isinstance(node, ast.Attribute | ast.Name) and dotted(node, names) in MACHINE:
            yield _finding(f"{ast.unparse(node)} draws from the machine", node.lineno)
        elif isinstance(node, ast.Call):
            yield from _call(node, dotted(node.func, names) or "", scope, takes)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr in SEEDS and not scope.from_seed(node.value):
                    yield _finding(f"{ast.unparse(node)[:80]} is a fixed seed", node.lineno)


def _call(node: ast.Call, path: str, scope: "_Scope", takes: Takes) -> Iterator[Finding]:
    said = ast.unparse(node)[:80]
    given: Sequence[ast.expr] = [word.value for word in node.keywords if word.arg in SEEDS]
    name = path.rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
    name = name or (node.func.id if isinstance(node.func, ast.Name) else "")
    unclear = any(isinstance(one, ast.Starred) for one in node.args) or any(word.arg is None for word in node.keywords)
    if path in GENERATORS:
        given = node.args[:1] or [word.value for word in node.keywords]
        if not given or (isinstance(given[0], ast.Constant) and given[0].value is None):
            yield _finding(f"{said} draws from the machine", node.lineno)
            return
    elif not given and name in takes.places and not unclear and (not path or path.startswith("trainer.")):
        place, has_default = takes.places[name]
        given = node.args[place : place + 1]
        if not given and has_default:
            yield _finding(f"{said} leaves the seed at its default", node.lineno)
    if given and not any(scope.from_seed(one) for one in given):
        yield _finding(f"{said} has a fixed seed", node.lineno)
    shared, _, drawn = path.rpartition(".")
    if shared in SHARED and path not in GENERATORS and drawn not in NEEDS_NO_SEED and shared not in takes.seeded:
        yield _finding(f"{said} draws from a generator that nothing seeds", node.lineno)


class _Scope:
    """Where the values of the names of a function, or of a file's top level, come from."""

    def __init__(self, names: Names, outer: "_Scope | None" = None) -> None:
        self.names, self.outer = names, outer
        self.assigned: dict[str, list[ast.expr]] = defaultdict(list)
        self.parameters: set[str] = set()

    def walk(self, node: ast.AST) -> Iterator[tuple[ast.AST, "_Scope"]]:
        """Every node below `node` with its scope, whose names are all known once the last one was given."""
        for child in ast.iter_child_nodes(node):
            within = _Scope(self.names, self) if isinstance(child, ast.FunctionDef | ast.Lambda) else self
            match child:
                case ast.arg(arg=name):
                    self.parameters.add(name)
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._bind(target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._bind(target, value)
                case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
                    self._bind(target, value)
                case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                    self._bind(target, value)
            yield child, within
            yield from within.walk(child)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        for one in ast.walk(target):
            if isinstance(one, ast.Name):
                self.assigned[one.id].append(value)

    def from_seed(self, node: ast.AST, within: frozenset[str] = frozenset()) -> bool:
        """Whether some part of an expression can come from the run's seed."""
        match node:
            case ast.BinOp(op=ast.Mult() | ast.BitAnd()) if _is(node.left, 0) or _is(node.right, 0):
                return False
            case ast.BinOp(op=ast.Mod()) if _is(node.right, 1):
                return False
            case ast.Constant(value=value):
                return value == "SEED"  # the environment's
            case ast.Attribute() | ast.Name() if path := dotted(node, self.names):
                return path.startswith("trainer.") and not path.startswith("trainer.settings")
            case ast.Attribute(attr=name) if _says_seed(name):
                return True
            case ast.Name(id=name):
                return name not in within and self._name(name, within | {name})
        return any(self.from_seed(child, within) for child in ast.iter_child_nodes(node))

    def _name(self, name: str, within: frozenset[str]) -> bool:
        if name not in self.assigned and name not in self.parameters:
            return self.outer._name(name, within) if self.outer else _says_seed(name)
        if any(self.from_seed(value, within) for value in self.assigned.get(name, [])):
            return True
        return name in self.parameters and _says_seed(name)


def _says_seed(name: str) -> bool:
    return any(word in name.lower() for word in WORDS)


def _is(node: ast.expr, value: int) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def _finding(what: str, line: int) -> Finding:
    return Finding("fixed_seed", what, line, ADVICE)
