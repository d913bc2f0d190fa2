"""A proposal that edits a plain form must not be measured with the old twin."""

import ast
from pathlib import Path

import pytest

from agent.twins import FAST, MODEL, without_stale
from bench.errors import ProposalError

PLAIN = b'''"""Model."""
CAP = 30.0
def softcap(x):
    """Cap."""
    return x
def cross_entropy(x):
    return softcap(x)
def attention(q):
    return q
'''
TWINS = b'''TWINS = {
    "attention": ("attention",),
    "cross_entropy": ("cross_entropy", "softcap"),
}
"""After."""
'''
TREE = {MODEL: PLAIN, FAST: TWINS}


def twins(tree: dict[str, bytes]) -> set[str]:
    return set(ast.literal_eval(ast.parse(tree[FAST]).body[0].value))  # type: ignore[attr-defined]


def edited(old: bytes, new: bytes) -> dict[str, bytes]:
    assert old in PLAIN
    return TREE | {MODEL: PLAIN.replace(old, new)}


def test_an_edit_elsewhere_leaves_the_twins_alone() -> None:
    for tree in (TREE, edited(b"CAP = 30.0", b"CAP = 15.0"), edited(b'"""Cap."""', b'"""Caps."""')):
        assert without_stale(TREE, tree) == tree


def test_an_edit_of_a_plain_form_drops_its_twin_and_no_other() -> None:
    assert twins(without_stale(TREE, edited(b"return q", b"return -q"))) == {"cross_entropy"}


def test_an_edit_of_what_a_plain_form_is_made_of_drops_its_twin_too() -> None:
    assert twins(without_stale(TREE, edited(b"    return x\n", b"    return 2 * x\n"))) == {"attention"}


def test_what_stands_around_the_table_stays_as_it_is() -> None:
    assert without_stale(TREE, edited(b"return q", b"return -q"))[FAST].endswith(b'}\n"""After."""\n')


def test_a_proposal_that_edits_both_answers_for_itself() -> None:
    both = edited(b"return q", b"return -q") | {FAST: TWINS + b"# and its twin\n"}
    assert without_stale(TREE, both) == both


def test_a_trainer_without_twins_is_left_as_it_is() -> None:
    assert without_stale({MODEL: PLAIN}, {MODEL: PLAIN + b"x = 1\n"}) == {MODEL: PLAIN + b"x = 1\n"}


def test_a_table_that_is_no_literal_is_refused_by_name() -> None:
    bad = TREE | {FAST: b"TWINS = make()\n"}
    with pytest.raises(ProposalError) as refusal:
        without_stale(bad, bad | {MODEL: PLAIN + b"x = 1\n"})
    assert refusal.value.reason == "bad_twins"


def test_the_shipped_table_names_definitions_that_exist() -> None:
    root = Path(__file__).parents[2]
    source = {path: (root / path).read_bytes() for path in (MODEL, FAST)}
    names = {
        path: {node.name for node in ast.parse(content).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        for path, content in source.items()
    }
    table = next(
        ast.literal_eval(node.value)
        for node in ast.parse(source[FAST]).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "TWINS"
    )
    for twin, plain in table.items():
        assert twin in names[FAST]
        assert set(plain) <= names[MODEL]
        broken = source | {MODEL: source[MODEL].replace(b"def " + plain[-1].encode() + b"(", b"def gone(")}
        assert twin not in twins_of(without_stale(source, broken))


def twins_of(tree: dict[str, bytes]) -> dict[str, tuple[str, ...]]:
    for node in ast.parse(tree[FAST]).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "TWINS":
            found: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
            return found
    raise AssertionError("no table")
