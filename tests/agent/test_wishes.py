"""What a person says of ideas from a screen or a command: it holds in every night, and kb/ideas.md stays as it was."""

import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent import git
from agent.cli import cli
from agent.journal import read_journal
from agent.opening import journal_path
from agent.queue import IDEAS, add_idea, read_queue, rows, wish, wishes_path
from agent.wishes import read_wishes
from bench.data import Dataset
from bench.errors import JournalError, UsageError
from tests.agent.builders import experiment
from tests.chaos.night import NAME, make_repo, pass_night
from tests.fakes.house import build_house, nudge
from tests.fakes.world import World

QUEUE = """# The queue

## First

```knobs
QUALITY = 0.7
```

## Second

priority: 50

```knobs
QUALITY = 0.8
```

## Third

after: First

```knobs
QUALITY = 0.9
```

## In words

Make it better.
"""


@pytest.fixture
def repo(tmp_path: Path) -> git.Repo:
    folder = make_repo(tmp_path / "person")
    (folder / IDEAS).write_text(QUEUE)
    return git.here(folder)


def type_in(repo: git.Repo, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.chdir(repo.root)
    return CliRunner().invoke(cli, words)


def state(repo: git.Repo, slug: str, *decided: str) -> str:
    found = rows(read_queue(repo)[0], {name: experiment(idea=name) for name in decided})
    return next(row["state"] for row in found if row["slug"] == slug)


def tried(repo: git.Repo) -> list[str]:
    return [one.description for one in read_journal(journal_path(repo, NAME)).experiments[1:]]


def test_a_night_takes_up_what_was_promoted_and_leaves_what_was_retired_while_it_runs(repo: git.Repo) -> None:
    def say(line: str) -> None:
        if "Second" in line:
            wish(repo, "Third", priority=1)
            wish(repo, "In words", retired=True)
            add_idea(repo, "Fourth", "", knobs=[("QUALITY", "0.3")], priority=2)
            add_idea(repo, "Fifth", "", knobs=[("QUALITY", "0.1")])
            wish(repo, "Fifth", retired=True)

    pass_night(repo.root, say, finish=False)
    assert tried(repo) == ["Second", "Fourth", "First", "Third"]
    assert state(repo, "fifth") == "retired"


@pytest.mark.parametrize("retired", [False, True])
def test_claude_is_not_asked_to_write_out_what_is_retired(
    retired: bool, small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, ideas = World().rule(monkeypatch), "## In words\n\nMake it better.\n"
    house = build_house(
        world, tmp_path / "person", small_data.root, lambda question, number: nudge(number), ideas=ideas
    )
    wish(house.repo, "In words", retired=retired)
    first = house.night(house.author(0.2), 0.2, most=1)[0]
    assert first.idea == (None if retired else "in-words")


def test_the_words_on_ideas_hold_in_the_next_night_and_the_file_stays_as_it_was(repo: git.Repo) -> None:
    wish(repo, "Second", retired=True)
    wish(repo, "First", priority=7)
    pass_night(repo.root, lambda line: None, finish=False)
    assert tried(repo) == ["First", "Third"]
    assert (repo.root / IDEAS).read_text() == QUEUE


def test_the_last_word_counts_and_says_nothing_of_the_rest(repo: git.Repo) -> None:
    wish(repo, "Second", priority=3)
    wish(repo, "second", retired=True)
    wish(repo, "SECOND", priority=4)
    said = read_wishes(wishes_path(repo))["second"]
    assert (said.priority, said.retired) == (4, True)
    wish(repo, "Second", retired=False)
    (second,) = (idea for idea in read_queue(repo)[0] if idea.slug == "second")
    assert (second.priority, second.retired) == (4, False)
    assert wishes_path(repo).read_text().count('"type":"queue"') == 4


def test_what_waits_for_a_retired_idea_waits_on_and_says_so(repo: git.Repo) -> None:
    assert state(repo, "third") == "waits for first"
    wish(repo, "First", retired=True)
    assert state(repo, "third") == "waits for first, which is retired"
    assert state(repo, "first") == "retired"
    assert state(repo, "third", "first") == "ready"
    assert state(repo, "in-words") == "waits for a language model"


def test_an_unknown_idea_is_one_line_with_the_nearest(repo: git.Repo) -> None:
    with pytest.raises(UsageError) as error:
        wish(repo, "Secnd", retired=True)
    assert str(error.value) == "kb/ideas.md has no sound idea 'Secnd'; nearest: second"
    with pytest.raises(UsageError, match="`nightshift idea list` lists them"):
        wish(repo, "xyzzy", retired=True)
    assert not wishes_path(repo).exists()


def test_the_commands_say_what_they_did_and_the_list_shows_it(repo: git.Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type_in(repo, monkeypatch, "idea", "priority", "First", "-5").output == "priority -5: First\n"
    assert type_in(repo, monkeypatch, "idea", "retire", "second").output == "retired: Second\n"
    said = json.loads(type_in(repo, monkeypatch, "idea", "list", "--json").output)
    listed = {one["slug"]: one for one in said["ideas"]}
    assert (listed["first"]["priority"], listed["first"]["state"]) == (-5, "ready")
    assert (listed["second"]["priority"], listed["second"]["state"]) == (50, "retired")
    assert type_in(repo, monkeypatch, "idea", "retire", "second", "--undo").output == "back in the queue: Second\n"
    assert "ready" in type_in(repo, monkeypatch, "idea", "list").output.splitlines()[1]


def test_half_a_word_is_no_word_and_the_next_is_whole(repo: git.Repo) -> None:
    wish(repo, "First", priority=1)
    with wishes_path(repo).open("a") as file:
        file.write('{"type":"queue","timestamp":1,"idea":"sec')
    assert list(read_wishes(wishes_path(repo))) == ["first"]
    wish(repo, "Third", retired=True)
    assert list(read_wishes(wishes_path(repo))) == ["first", "third"]


def test_a_line_that_does_not_read_is_named(repo: git.Repo) -> None:
    wish(repo, "First", priority=1)
    with wishes_path(repo).open("a") as file:
        file.write("no JSON\n")
    with pytest.raises(JournalError, match="line 2 cannot be read"):
        read_queue(repo)


def test_of_what_many_say_at_once_nothing_is_lost(repo: git.Repo) -> None:
    def say(number: int) -> None:
        add_idea(repo, f"Idea {number}", "words")
        wish(repo, "First", priority=number)

    threads = [threading.Thread(target=say, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"idea-{number}" for number in range(12)} <= {idea.slug for idea in read_queue(repo)[0]}
    assert wishes_path(repo).read_text().count("\n") == 12
