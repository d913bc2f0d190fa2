"""What was said in a draft, read back: all of it in its order, and nothing in it that could steer a terminal."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.arms import Task
from agent.calls import Usage
from agent.claude import Answer, Question
from agent.dialogue import Dialogue
from agent.git import Repo
from agent.proposal import Proposal
from agent.toolbox import Toolbox
from agent.transcript import as_text, read_transcript
from bench.errors import Outage, ProposalError, UsageError
from tests.fakes import fake_tree
from tests.fakes.claude import ScriptedModel, calls, proposal, tool

ROOT = Path(__file__).parents[2]
STEERING = "\x1b[2J\x1b]0;evil\x07 \x9b31m \r\x00 \u202e"
"""Clears the screen, names the window, rings, colours, goes back to the line's start, and turns the text round."""
SEPARATORS = "a\u2028b\u2029c\x85d\x0be\x1cf"
"""Ends of lines to some readers, and to none of JSON lines."""


@dataclass
class Talk:
    """A conversation in a temporary folder."""

    dialogue: Dialogue
    model: ScriptedModel

    @property
    def path(self) -> Path:
        return self.dialogue.path

    def led(self, trial: Callable[[Proposal], None] = lambda found: None) -> Proposal:
        return self.dialogue.proposal(trial)


@pytest.fixture
def talk(tmp_path: Path) -> Callable[..., Talk]:
    """Begins a conversation in which Claude says these things, one after another."""

    def begin(*answers: Answer, opening: str = "Take code away.") -> Talk:
        def scripted(question: Question, number: int) -> Answer:
            if number >= len(answers):
                raise Outage("529: overloaded")
            return answers[number]

        model = ScriptedModel(scripted)
        dialogue = Dialogue(
            name="d0001",
            task=Task("remove", "less code"),
            system=[{"type": "text", "text": "the rules"}],
            tools=[],
            opening=opening,
            box=Toolbox(Repo(ROOT, tmp_path), fake_tree(), [], []),
            closed=(),
            model=model,
            model_name="a model",
            path=tmp_path / "drafts" / "d0001.jsonl",
        )
        return Talk(dialogue, model)

    return begin


Begin = Callable[..., Talk]
LOOK = calls(
    {"type": "thinking", "thinking": "Which knobs are there?", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "aGlkZGVu"},
    {"type": "text", "text": "I look first."},
    tool("read_trainer_file", "a", path="trainer/settings.py"),
    tool("read_note", "b", name="no-such-note"),
)


def refuse_once() -> Callable[[Proposal], None]:
    refusals = [ProposalError("no_change", "the champion is like this already")]

    def trial(found: Proposal) -> None:
        if refusals:
            raise refusals.pop()

    return trial


@pytest.fixture
def told(talk: Begin) -> list[Mapping[str, Any]]:
    """A whole conversation: a look, a proposal that is refused, and one that is taken."""
    whole = talk(LOOK, proposal("a first try"), proposal("a second try", "call-2"))
    whole.led(refuse_once())
    return read_transcript(whole.path)


def kinds(line: Mapping[str, Any]) -> list[str]:
    content = line["content"]
    return ["words"] if isinstance(content, str) else [block["type"] for block in content]


def test_a_conversation_is_read_back_in_its_order(told: list[Mapping[str, Any]]) -> None:
    head, *said = told
    assert (head["draft"], head["arm"], head["model"]) == ("d0001", "remove", "a model")
    assert [(line["role"], kinds(line)) for line in said] == [
        ("user", ["words"]),
        ("assistant", ["thinking", "redacted_thinking", "text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result"]),
        ("assistant", ["tool_use"]),
    ]
    assert said[0]["content"] == "Take code away."
    assert [line["content"][0]["input"]["title"] for line in said if kinds(line) == ["tool_use"]] == [
        "a first try",
        "a second try",
    ]


def test_what_is_told_is_what_the_conversation_goes_on_from(talk: Begin) -> None:
    whole = talk(LOOK, proposal("a first try"), proposal("a second try", "call-2"))
    whole.led(refuse_once())
    told = [{"role": line["role"], "content": line["content"]} for line in read_transcript(whole.path)[1:]]
    *said, waiting = whole.dialogue.messages
    assert told == json.loads(json.dumps(said))
    assert waiting == {"role": "user", "content": []}, "for what becomes of the proposal"


def test_what_it_began_from_is_kept_beside_it(talk: Begin) -> None:
    whole = talk(proposal())
    whole.led()
    kept = whole.path.parent / read_transcript(whole.path)[0]["system"]
    assert json.loads(kept.read_text()) == {"system": [{"type": "text", "text": "the rules"}], "tools": []}


def test_what_was_said_before_an_outage_is_there_at_once_and_nothing_is_told_twice(talk: Begin) -> None:
    cut = talk(LOOK)
    for _ in range(2):
        with pytest.raises(Outage):
            cut.led()
        assert [line.get("role") for line in read_transcript(cut.path)] == [None, "user", "assistant", "user"]


@pytest.mark.parametrize(
    "torn", [b'{"role": "assis', b"{", '{"role": "é'.encode()[:-1], b'{"role": "user", "content": "x"}']
)
def test_a_torn_last_line_is_left_out(talk: Begin, torn: bytes) -> None:
    whole = talk(LOOK, proposal())
    whole.led()
    before = read_transcript(whole.path)
    with whole.path.open("ab") as file:
        file.write(torn)
    assert read_transcript(whole.path) == before


def test_a_transcript_of_which_nothing_came_to_disk_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "d0001.jsonl"
    path.write_bytes(b'{"draft": "d00')
    assert read_transcript(path) == []
    assert as_text([]) == ""


def test_a_transcript_that_is_not_there_is_one_line_that_names_it(tmp_path: Path) -> None:
    for path in (tmp_path / "drafts" / "d0007.jsonl", tmp_path):
        with pytest.raises(UsageError) as error:
            read_transcript(path)
        assert str(error.value).startswith(f"there is no transcript {path.name}: ")
        assert str(error.value).isprintable()


def test_as_text_it_says_who_said_what(told: list[Mapping[str, Any]]) -> None:
    text = as_text(told)
    head, *parts = text.split("\n\n── ")
    assert head.startswith("draft d0001, remove, a model; rules, tools and trainer are in system-")
    assert parts[0] == "Nightshift ──\nTake code away."
    assert parts[1] == "Claude ──\n(thinks) Which knobs are there?"
    assert parts[2] == "Claude ──\n(redacted_thinking)"
    assert parts[3] == "Claude ──\nI look first."
    assert parts[4] == "Claude ──\ncalls read_trainer_file\npath: trainer/settings.py"
    assert parts[5].startswith("Claude ──\ncalls read_note\nname: no-such-note\n\n(tool_use; 100 tokens in")


def test_as_text_it_shows_what_tools_answered_and_which_answers_are_errors(told: list[Mapping[str, Any]]) -> None:
    text = as_text(told)
    settings = fake_tree()["trainer/settings.py"].decode()
    assert f'── Nightshift ──\nanswers\n<file name="trainer/settings.py">\n{settings}' in text
    assert "── Nightshift ──\nanswers, with an error\nthere is no note 'no-such-note'" in text
    assert "answers, with an error\nYour proposal cannot be measured like this: <reason>\nno_change: " in text


def test_as_text_a_proposal_is_shown_field_by_field(told: list[Mapping[str, Any]]) -> None:
    text = as_text(told)
    assert "calls propose\ntitle: a first try\nhypothesis: it moves what was still\nexpected: {\n" in text
    assert '  "thousandths": -2,\n' in text
    assert 'knobs: {\n  "NUDGE": 0.1\n}' in text


def test_as_text_each_answer_tells_how_it_ended_and_what_it_cost() -> None:
    usage = Usage(
        input_tokens=1234,
        output_tokens=56,
        cache_read_input_tokens=20_000,
        ephemeral_5m_input_tokens=300,
        ephemeral_1h_input_tokens=7000,
    )
    line = {
        "role": "assistant",
        "content": [],
        "stop_reason": "max_tokens",
        "usage": usage.model_dump(),
        "usd": 0.01234,
    }
    assert as_text([line]) == ("(max_tokens; 1,234 tokens in, 20,000 from the cache, 7,300 to it, 56 out; $0.0123)")


def test_line_ends_of_other_alphabets_end_no_line(talk: Begin) -> None:
    whole = talk(proposal(hypothesis=f"because {SEPARATORS}"), opening=SEPARATORS)
    whole.led()
    told = read_transcript(whole.path)
    assert len(told) == 3
    assert told[1]["content"] == SEPARATORS
    assert told[2]["content"][0]["input"]["hypothesis"] == f"because {SEPARATORS}"


def steers(text: str) -> bool:
    return not all(character.isprintable() or character in "\n\t" for character in text)


def test_nothing_that_steers_a_terminal_comes_through(talk: Begin) -> None:
    evil = calls(
        {"type": "thinking", "thinking": STEERING, "signature": "c2ln"},
        {"type": "text", "text": STEERING},
        tool(f"tool{STEERING}", "a", **{f"key{STEERING}": STEERING, "list": [STEERING], "map": {STEERING: STEERING}}),
    )
    whole = talk(evil, proposal(STEERING), opening=f"begin {STEERING} end")
    whole.led()
    told = read_transcript(whole.path)
    assert told[1]["content"] == f"begin {STEERING} end", "it is kept as it was said"
    text = as_text(told)
    assert not steers(text)
    assert "begin �[2J�]0;evil� �31m �� � end" in text


CONTENT: st.SearchStrategy[Sequence[Mapping[str, Any]]] = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})
    | st.fixed_dictionaries(
        {
            "type": st.just("tool_use"),
            "name": st.text(),
            "input": st.dictionaries(
                st.text(), st.text() | st.lists(st.text() | st.integers(), max_size=3), max_size=3
            ),
        }
    )
    | st.fixed_dictionaries({"type": st.just("tool_result"), "content": st.text(), "is_error": st.booleans()}),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(CONTENT, st.sampled_from(["user", "assistant"]))
def test_whatever_was_said_is_shown_without_steering_the_terminal(
    content: Sequence[Mapping[str, Any]], role: str
) -> None:
    text = as_text([{"role": role, "content": content}])
    assert not steers(text)
    assert text.count("──\n") >= len(content)


def test_an_input_that_is_no_object_is_shown_as_it_is() -> None:
    block = {"type": "tool_use", "id": "a", "name": "propose", "input": ["x"]}
    text = as_text([{"role": "assistant", "content": [block]}])
    assert "calls propose" in text
    assert '"x"' in text
