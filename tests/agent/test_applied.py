"""What is journalled as applied is in the commit, and nothing runs under a proposal's name that is not the proposal.

Generated edits on the fake trainer, through the real experiment with real git; the oracle replaces text by itself.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.attempt import Attempt, Champion, attempt
from agent.calls import Authored
from agent.edits import Edit
from agent.git import Repo, here
from agent.journal import open_journal
from agent.lab import Lab
from agent.proposal import SETTINGS, Proposal
from agent.tree import Tree, unified
from bench.data import Dataset
from bench.files import tree_key
from tests.agent.builders import header
from tests.fakes import fake_tree, git, make_repo
from tests.fakes.bench import ScriptedBench

TREE = fake_tree()
TEXTS = {path: content.decode() for path, content in TREE.items()}
LINES = sorted({line for text in TEXTS.values() for line in text.split("\n")})


def spans(text: str) -> st.SearchStrategy[str]:
    """Pieces of a file, from one character to all of it."""
    ends = st.integers(0, len(text))
    return st.tuples(ends, ends).map(lambda two: text[min(two) : max(two)])


def wild_edits() -> st.SearchStrategy[Edit]:
    """Edits that fit once, several times or not at all; in files that are there or not, and outside of `trainer/`."""
    paths = st.sampled_from([*TEXTS, "trainer/extra.py", "trainer/../bench/score.py", "kb/ideas.md", "README.md"])
    old = st.one_of(st.sampled_from(sorted(TEXTS.values())).flatmap(spans), st.sampled_from(LINES), st.just(""))
    new = st.one_of(st.sampled_from([*LINES, "", "x = 1\n", "# a remark", "pass", "é"]), st.text(max_size=20))
    return st.builds(Edit, paths, old, new)


@st.composite
def sound_edits(draw: st.DrawFn) -> Edit:
    """A statement put before a line of its own at a file's top level, most of which parse; or a new file."""
    path = draw(st.sampled_from([*TEXTS, "trainer/extra.py"]))
    number = draw(st.integers(0, 99))
    lines = TEXTS.get(path, "").split("\n")
    plain = [line for line in lines if line[:1].isalpha() and TEXTS[path].count(line) == 1]
    if not plain:
        return Edit(path, TEXTS.get(path, ""), f"VALUE_{number} = {number}\n")
    line = draw(st.sampled_from(plain))
    return Edit(path, line, f"VALUE_{number} = {number}\n{line}")


def edits() -> st.SearchStrategy[tuple[Edit, ...]]:
    sound = st.lists(sound_edits(), min_size=1, max_size=3, unique_by=lambda edit: edit.path)
    return st.one_of(sound, sound, st.lists(st.one_of(wild_edits(), sound_edits()), max_size=3)).map(tuple)


def knobs() -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    one = st.tuples(st.sampled_from(["NUDGE", "QUALITY", "NOBODY"]), st.sampled_from(["0.25", "0.75", "'a'", "0.0"]))
    return st.lists(one, max_size=2, unique_by=lambda pair: pair[0]).map(tuple)


def put_in_place(tree: Tree, made: tuple[Edit, ...]) -> dict[str, bytes]:
    """The tree with the edits in it, made the plain way."""
    texts = {path: content.decode() for path, content in tree.items()}
    for edit in made:
        before = texts.get(edit.path, "")
        assert not edit.old or before.count(edit.old) == 1
        after = before.replace(edit.old, edit.new) if edit.old else edit.new
        texts.pop(edit.path, None)
        if after:
            texts[edit.path] = after
    return {path: text.encode() for path, text in texts.items()}


@pytest.fixture(scope="module")
def repo(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return here(make_repo(tmp_path_factory.mktemp("generated") / "person", small_data.root))


def test_generated_edits(repo: Repo, tmp_path_factory: pytest.TempPathFactory) -> None:
    outcomes: list[bool] = []

    @settings(max_examples=60, deadline=None)
    @given(made=edits(), knobs=knobs(), number=st.integers(2, 10**6))
    def hold(made: tuple[Edit, ...], knobs: tuple[tuple[str, str], ...], number: int) -> None:
        folder = tmp_path_factory.mktemp("journal")
        outcomes.append(one_experiment(repo, folder / "journal.jsonl", made, knobs, number))

    hold()
    assert outcomes.count(True) >= 10
    assert outcomes.count(False) >= 10


def one_experiment(
    repo: Repo, path: Path, made: tuple[Edit, ...], knobs: tuple[tuple[str, str], ...], number: int
) -> bool:
    """Try the edits; whether they applied. Asserts that what is told is what was done."""
    journal = open_journal(path)
    journal.append(header())
    sha = repo.commit_of("HEAD")
    champion = Champion(sha, repo.trainer(sha))
    authored = Authored(draft="d0001", arm="remove")
    found = Proposal("a title", "a reason", "claude", "training", knobs=knobs, edits=made, authored=authored)
    bench = ScriptedBench(lambda job: 2.0 if " champion " in job.label else 2.1)
    this = Attempt(f"night-{number:04d}", number, 0, champion, found)
    told = attempt(this, Lab(bench, journal, header()), repo, journal)

    if not told.sha:
        assert told.status == "checks_failed"
        assert (bench.jobs, told.patch, told.tree) == ([], "", "")
        return False
    committed, expected = repo.trainer(told.sha), put_in_place(champion.tree, made)
    for name, value in knobs:
        assert f"\n{name} = {value}".encode() in committed["trainer/settings.py"]
    settled = {} if not knobs else {SETTINGS: committed[SETTINGS]}
    assert committed == expected | settled
    changed = [name for name in {*champion.tree, *committed} if champion.tree.get(name) != committed.get(name)]
    assert git(repo.root, "diff", "--name-only", sha, told.sha).split("\n") == sorted(changed)
    assert told.patch == unified(champion.tree, committed)
    assert told.tree == tree_key(committed) != tree_key(champion.tree)
    for job in bench.jobs:
        assert tree_key(job.tree) == (tree_key(champion.tree) if " champion " in job.label else told.tree)
    return True
