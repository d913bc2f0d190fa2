"""Asking Claude over real HTTP: a whole answer or one clear line, however the server fails, and every try is paid for.

llmock breaks its streams as a network would; what it cannot say is served, byte for byte, by pytest-httpserver.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Reply, ToolCall
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from agent.calls import Reserved, Spent, Usage
from agent.claude import LONGEST_WAIT_S, TRIES, Claude, Question, reachable
from agent.purse import Purse, held
from agent.records import AnyRecord
from agent.settings import Price, Settings
from bench.errors import Closed, Interrupted, ModelError, Outage

MODEL = "claude-of-this-test"
PRICE = Price(input=2, output=10, cache_read=0.5, write_5m=3, write_1h=7)
MOST_TOKENS = 2000
PROPERTIES = {"path": {"type": "string"}, "old": {"type": "string"}}
EDIT = {
    "name": "edit",
    "description": "Edit a file.",
    "input_schema": {"type": "object", "properties": PROPERTIES, "required": ["path", "old"]},
}
SYSTEM = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
PLAIN = Question(SYSTEM, [], [{"role": "user", "content": "what is it?"}])
WITH_TOOLS = Question(SYSTEM, [EDIT], PLAIN.messages)
FAULTS: dict[str, Callable[[LLMock, int | None], object]] = {
    "ended before it began": lambda llmock, times: llmock.truncate(after_chunks=0, times=times),
    "ended cleanly": lambda llmock, times: llmock.truncate(after_chunks=3, times=times),
    "disconnected at once": lambda llmock, times: llmock.disconnect(after_chunks=0, times=times),
    "disconnected": lambda llmock, times: llmock.disconnect(after_chunks=3, times=times),
    "corrupt": lambda llmock, times: llmock.corrupt(after_chunks=3, times=times),
}


class Impatient(Event):
    """Notes how long it is waited for, and does not wait; `looks` is how often it is looked at before it is set."""

    def __init__(self, looks: float = math.inf) -> None:
        super().__init__()
        self.looks = looks
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()

    def is_set(self) -> bool:
        self.looks -= 1
        return super().is_set() or self.looks < 0


@dataclass
class Asker:
    """Claude with a purse, and all that was journalled."""

    most: float = math.inf
    stop: Impatient = field(default_factory=Impatient)
    effort: str = "medium"
    timeout_s: float = 30.0
    price: Price = PRICE
    records: list[AnyRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = Settings.model_validate(
            {
                "model": MODEL,
                "effort": self.effort,
                "max_tokens": MOST_TOKENS,
                "timeout_s": self.timeout_s,
                "prices": {MODEL: self.price},
            }
        )
        self.purse = Purse(MODEL, self.price, self.most, note=self.records.append)
        self.claude = Claude(settings, self.purse, self.stop)

    @property
    def reserved(self) -> list[Reserved]:
        return [one for one in self.records if isinstance(one, Reserved)]

    @property
    def spent(self) -> list[Spent]:
        return [one for one in self.records if isinstance(one, Spent)]


@pytest.fixture
def asker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Asker]]:
    """Makes askers, and closes their connections in the end."""
    # Nothing here is encrypted, and to read all certificates takes longer than most of the tests.
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    made: list[Asker] = []

    def make(**changes: Any) -> Asker:  # noqa: ANN401  # fields of Asker
        made.append(Asker(**changes))
        return made[-1]

    yield make
    for one in made:
        one.claude.client.close()


Asking = Callable[..., Asker]


def failing(one: Asker, question: Question = PLAIN) -> ModelError:
    with pytest.raises(ModelError) as caught:
        one.claude.answer(question, "d0001")
    assert "\n" not in str(caught.value)
    return caught.value


def event(kind: str, **more: Any) -> str:  # noqa: ANN401  # JSON
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"


def begun(**usage: object) -> str:
    told = {"input_tokens": 10, "output_tokens": 1, **usage}
    empty = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": MODEL}
    return event("message_start", message={**empty, "stop_reason": None, "stop_sequence": None, "usage": told})


def block(index: int, start: Mapping[str, object], *deltas: Mapping[str, object]) -> str:
    middle = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    return "".join(
        [
            event("content_block_start", index=index, content_block=start),
            *middle,
            event("content_block_stop", index=index),
        ]
    )


def ended(reason: str = "end_turn", output_tokens: int = 5) -> str:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return event("message_delta", delta=delta, usage={"output_tokens": output_tokens}) + event("message_stop")


def called(*pieces: str, whole: Mapping[str, object] | None = None) -> str:
    start = {"type": "tool_use", "id": "toolu_1", "name": "edit", "input": whole or {}}
    return block(0, start, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def streamed(text: str | bytes, kind: str = "text/event-stream") -> Response:
    return Response(text, 200, content_type=kind)


@pytest.fixture
def serve(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., HTTPServer]:
    """Has a server give the same answer to every question."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")

    def give(answer: Response | Callable[[Request], Response]) -> HTTPServer:
        given = (lambda request: answer) if isinstance(answer, Response) else answer
        httpserver.expect_request("/v1/messages").respond_with_handler(given)
        return httpserver

    return give


Serving = Callable[..., HTTPServer]


# Whole answers.


def test_a_question_in_words_is_answered_in_words(llmock: LLMock, asker: Asking) -> None:
    llmock.reply("It is a norm.\n\nNo more.")
    assert reachable()
    assert asker().claude.ask("be brief", "what is it?") == "It is a norm.\n\nNo more."
    body = llmock.last_request.body
    assert body["system"] == [{"type": "text", "text": "be brief"}]
    assert body["messages"] == [{"role": "user", "content": "what is it?"}]
    assert "tools" not in body


def test_without_a_key_claude_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    assert not reachable()
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert not reachable()


def test_an_answer_says_how_it_ended_and_what_it_took(llmock: LLMock, asker: Asking) -> None:
    llmock.reply("x" * 40)
    answer = asker().claude.answer(PLAIN, "d0001")
    assert answer.blocks == ({"type": "text", "text": "x" * 40},)
    assert (answer.text, answer.stop_reason, answer.usage.output_tokens) == ("x" * 40, "end_turn", 10)


def test_a_call_of_a_tool_can_be_sent_back(llmock: LLMock, asker: Asking) -> None:
    given = {"path": "trainer/train.py", "old": 'tab\t, "quotes", \N{GRINNING FACE} and\nlines'}
    llmock.call_tool("edit", given, text="I edit.").reply("Done.")
    one = asker()
    answer = one.claude.answer(WITH_TOOLS, "d0001")
    said, call = answer.blocks
    assert said == {"type": "text", "text": "I edit."}
    assert call == {"type": "tool_use", "id": call["id"], "name": "edit", "input": given}
    assert (answer.text, answer.stop_reason) == ("I edit.", "tool_use")
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "done"}
    more = [{"role": "assistant", "content": answer.blocks}, {"role": "user", "content": [result]}]
    assert one.claude.answer(Question(SYSTEM, [EDIT], [*PLAIN.messages, *more]), "d0001").text == "Done."
    assert llmock.last_request.body["messages"] == [*PLAIN.messages, {**more[0], "content": [said, call]}, more[1]]


def test_of_each_block_only_what_the_server_takes_back_is_kept(serve: Serving, asker: Asking) -> None:
    thought = block(
        0,
        {"type": "thinking", "thinking": "", "signature": "", "more": 1},
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "signed"},
    )
    hidden = block(1, {"type": "redacted_thinking", "data": "zz", "more": 1})
    unknown = block(2, {"type": "novel", "text": "of a newer server"})
    words = block(3, {"type": "text", "text": "", "citations": None}, {"type": "text_delta", "text": "It is."})
    serve(streamed(begun() + thought + hidden + unknown + words + event("novel") + ended()))
    assert asker().claude.answer(PLAIN, "d0001").blocks == (
        {"type": "thinking", "thinking": "hm", "signature": "signed"},
        {"type": "redacted_thinking", "data": "zz"},
        {"type": "text", "text": "It is."},
    )


def test_what_is_asked_arrives_as_given(llmock: LLMock, asker: Asking) -> None:
    asker().claude.answer(WITH_TOOLS, "d0001")
    body = llmock.last_request.body
    assert (body["model"], body["max_tokens"], body["stream"]) == (MODEL, MOST_TOKENS, True)
    assert (body["system"], body["tools"], body["messages"]) == (SYSTEM, [EDIT], WITH_TOOLS.messages)


def test_effort_is_sent_with_thinking_and_without_it_neither(llmock: LLMock, asker: Asking) -> None:
    asker(effort="high").claude.answer(PLAIN, "d0001")
    body = llmock.last_request.body
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
    asker(effort="").claude.answer(PLAIN, "d0001")
    assert not {"thinking", "output_config"} & set(llmock.last_request.body)


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_tokens"), ("content_filter", "refusal")])
def test_an_answer_that_is_not_whole_says_so(llmock: LLMock, asker: Asking, finish: str, reason: str) -> None:
    llmock.add(Reply(text="It is", finish_reason=finish, times=2))
    one = asker()
    assert one.claude.answer(PLAIN, "d0001").stop_reason == reason
    assert [spent.stop_reason for spent in one.spent] == [reason]
    with pytest.raises(ModelError, match=f"not whole: .*{reason}") as caught:
        one.claude.ask("be brief", "what is it?")
    assert not isinstance(caught.value, Outage | Closed)


def test_halves_of_character_pairs_do_not_get_through(llmock: LLMock, asker: Asking) -> None:
    llmock.reply("before \ud800 after \N{GRINNING FACE}")
    (said,) = asker().claude.answer(PLAIN, "d0001").blocks
    assert said["text"].encode()
    assert said["text"].startswith("before ")
    assert said["text"].endswith(" after \N{GRINNING FACE}")


def test_nor_from_within_a_tools_input(serve: Serving, asker: Asking) -> None:
    given = {
        "paths": ["sound", "\ud800"],
        "\udc00": {"\udbff": "\udfff"},
        "no number": math.nan,
        "half": 0.5,
        "none": None,
    }
    serve(streamed(begun() + called(whole=given) + ended("tool_use")))
    (call,) = asker().claude.answer(WITH_TOOLS, "d0001").blocks
    assert json.dumps(call, ensure_ascii=False, allow_nan=False).encode()
    assert call["input"]["paths"][0] == "sound"
    assert (call["input"]["half"], call["input"]["none"]) == (0.5, None)
    assert len(call["input"]) == len(given)


# Tools called with what is no JSON.


def test_a_tools_input_that_breaks_off_is_garbled(llmock: LLMock, asker: Asking) -> None:
    llmock.call_tool("edit", {"path": "trainer/train.py", "old": "long enough to be cut in two"}, text="I edit.")
    llmock.break_tool_call()
    one = asker()
    answer = one.claude.answer(WITH_TOOLS, "d0001")
    assert (answer.blocks, answer.stop_reason) == ((), "garbled")
    assert len(llmock.requests) == len(one.spent) == 1
    assert "JSON" in (one.spent[0].error or "")
    assert answer.usd == one.spent[0].usd > 0


@pytest.mark.parametrize(
    "pieces",
    [('{"path" ', '"x"}'), ('{"path": "x"', ', "ol'), ("[1", ", 2]"), ('{"path": "\ud800"}',)],
    ids=["no JSON", "cut", "no object", "half a pair"],
)
@pytest.mark.parametrize("reason", ["tool_use", "end_turn"])
def test_so_is_one_that_makes_no_sense(serve: Serving, asker: Asking, pieces: Sequence[str], reason: str) -> None:
    server = serve(streamed(begun() + called(*pieces) + ended(reason)))
    answer = asker().claude.answer(WITH_TOOLS, "d0001")
    assert (answer.blocks, answer.stop_reason) == ((), "garbled")
    assert len(server.log) == 1


def test_a_tool_without_inputs_can_be_called(serve: Serving, asker: Asking) -> None:
    serve(streamed(begun() + called("") + ended("tool_use")))
    assert asker().claude.answer(WITH_TOOLS, "d0001").blocks[0]["input"] == {}


def test_an_input_that_ran_out_of_tokens_is_told_as_that(llmock: LLMock, asker: Asking) -> None:
    call = ToolCall("edit", {"path": "trainer/train.py", "old": "long enough to be cut in two"})
    llmock.add(Reply(tool_calls=(call,), finish_reason="length")).break_tool_call()
    assert asker().claude.answer(WITH_TOOLS, "d0001").stop_reason == "max_tokens"


# What passes, and is waited out.


def test_a_rate_limit_is_waited_out_for_as_long_as_the_server_asks(llmock: LLMock, asker: Asking) -> None:
    llmock.rate_limit(times=1, retry_after=7).reply("It is.")
    one = asker()
    assert one.claude.ask("be brief", "what is it?") == "It is."
    assert one.stop.waits == [7.0]


def test_so_is_an_overload(llmock: LLMock, asker: Asking) -> None:
    llmock.fail(529, times=2, retry_after=3).reply("It is.")
    one = asker()
    assert one.claude.answer(PLAIN, "d0001").text == "It is."
    assert one.stop.waits == [3.0, 3.0]


def test_the_longest_wait_is_waited_and_more_is_left_to_the_caller(llmock: LLMock, asker: Asking) -> None:
    patient, busy = asker(), asker()
    llmock.rate_limit(times=1, retry_after=LONGEST_WAIT_S).reply("It is.")
    assert patient.claude.answer(PLAIN, "d0001").text == "It is."
    assert patient.stop.waits == [LONGEST_WAIT_S]
    llmock.reset().rate_limit(times=None, retry_after=LONGEST_WAIT_S + 1)
    error = failing(busy)
    assert isinstance(error, Outage)
    assert error.retry_after == LONGEST_WAIT_S + 1
    assert (busy.stop.waits, len(llmock.requests)) == ([], 1)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
def test_what_does_not_pass_is_an_outage_after_some_tries(llmock: LLMock, asker: Asking, status: int) -> None:
    llmock.fail(status, times=None, retry_after=2)
    one = asker()
    error = failing(one)
    assert isinstance(error, Outage)
    assert error.retry_after == 2
    assert str(status) in str(error)
    assert len(llmock.requests) == TRIES
    assert one.stop.waits == [2.0] * (TRIES - 1)


@pytest.mark.parametrize("asked", [None, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_server_that_names_no_seconds_is_given_twice_as_many_each_time(
    serve: Serving, asker: Asking, asked: str | None
) -> None:
    serve(Response("busy", 500, {"Retry-After": asked} if asked else {}))
    one = asker()
    assert isinstance(failing(one), Outage)
    first, *more = [wait or 0.0 for wait in one.stop.waits]
    assert first > 0
    assert more == [first * 2**number for number in range(1, TRIES - 1)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_that_breaks_off_is_an_outage(llmock: LLMock, asker: Asking, fault: str) -> None:
    FAULTS[fault](llmock, None)
    error = failing(asker())
    assert isinstance(error, Outage)
    assert error.retry_after is None
    assert len(llmock.requests) == TRIES


def test_silence_is_an_outage(llmock: LLMock, asker: Asking) -> None:
    llmock.stall(after_chunks=2, seconds=1.0, times=None)
    one = asker(timeout_s=0.2)
    assert isinstance(failing(one), Outage)
    assert len(one.spent) == TRIES


def test_so_is_a_server_that_is_not_there(serve: Serving, asker: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    one = asker()
    assert isinstance(failing(one), Outage)
    assert [(spent.usd, spent.at_most) for spent in one.spent] == [(0, 0)] * TRIES


def test_an_error_within_a_stream_is_an_outage(serve: Serving, asker: Asking) -> None:
    told = {"type": "overloaded_error", "message": "Overloaded"}
    serve(streamed(begun() + event("error", error=told)))
    one = asker()
    error = failing(one)
    assert isinstance(error, Outage)
    assert "Overloaded" in str(error)
    assert [spent.at_most for spent in one.spent] == [reserved.usd for reserved in one.reserved]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", "text/event-stream"),
        ("<html>\n<body>Sign in to the hotel's network</body></html>", "text/html"),
        ('{"type": "message"}', "application/json"),
        (event("message_start") + ended(), "text/event-stream"),
        (begun().replace("usage", "used") + ended(), "text/event-stream"),
        ("event: message_start\ndata: 5\n\n" + ended(), "text/event-stream"),
        (begun() + "event: content_block_delta\ndata: null\n\n" + ended(), "text/event-stream"),
        (
            begun() + event("content_block_delta", index=3, delta={"type": "text_delta", "text": "x"}),
            "text/event-stream",
        ),
        (begun() + event("message_delta", delta={"stop_reason": "end_turn"}), "text/event-stream"),
        (begun().encode() + b"event: content_block_start\ndata: \xff\xfe\n\n" + ended().encode(), "text/event-stream"),
    ],
    ids=["nothing", "HTML", "JSON", "no message", "no usage", "5", "null", "no such block", "no tokens", "no UTF-8"],
)
def test_what_is_no_stream_of_a_message_is_an_outage(
    serve: Serving, asker: Asking, body: str | bytes, kind: str
) -> None:
    serve(streamed(body, kind))
    one = asker()
    assert isinstance(failing(one), Outage)
    assert [spent.at_most for spent in one.spent] == [reserved.usd for reserved in one.reserved]


# What does not pass.


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_who_is_turned_away_does_not_ask_again(llmock: LLMock, asker: Asking, status: int) -> None:
    llmock.fail(status, times=None)
    one = asker()
    error = failing(one)
    assert isinstance(error, Closed)
    assert str(status) in str(error)
    assert (len(llmock.requests), one.stop.waits) == (1, [])


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_is_not_taken_is_not_asked_again_and_others_are(
    llmock: LLMock, asker: Asking, status: int
) -> None:
    llmock.fail(status, times=1)
    one = asker()
    error = failing(one)
    assert not isinstance(error, Outage | Closed)
    assert (len(llmock.requests), one.stop.waits) == (1, [])
    assert one.claude.answer(PLAIN, "d0001").text


def test_a_page_of_a_gateway_is_one_line_and_a_short_one(serve: Serving, asker: Asking) -> None:
    serve(Response("<html>\r\n<p>\u2028Bad gateway</p>\n" + "<br>\n" * 1000, 502, content_type="text/html"))
    one = asker()
    for text in (str(failing(one)), *(spent.error or "" for spent in one.spent)):
        assert "Bad gateway" in text
        assert text.splitlines() == [text]
        assert len(text) < 300


@pytest.mark.parametrize("status", [400, 401, 529])
def test_a_key_that_the_server_repeats_is_neither_told_nor_journalled(
    llmock: LLMock, asker: Asking, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-a-person")
    llmock.fail(status, times=None, message="sk-of-a-person\nis out of order")
    one = asker()
    text = str(failing(one))
    assert "out of order" in text
    assert "sk-of-a-person" not in text + "".join(record.model_dump_json() for record in one.records)


# Stopped by the person.


def test_who_is_stopped_asks_nothing(llmock: LLMock, asker: Asking) -> None:
    one = asker()
    one.stop.set()
    with pytest.raises(Interrupted):
        one.claude.answer(PLAIN, "d0001")
    assert (llmock.requests, one.purse.held) == ([], 0)


def test_stopped_in_the_middle_of_an_answer_the_rest_is_not_read(llmock: LLMock, asker: Asking) -> None:
    llmock.reply("word " * 100, times=None)
    one = asker(stop=Impatient(looks=6))
    with pytest.raises(Interrupted):
        one.claude.answer(PLAIN, "d0001")
    assert len(one.spent) == len(llmock.requests) == 1
    assert one.spent[0].stop_reason is None
    assert one.spent[0].at_most == one.reserved[0].usd


def test_stopped_while_it_waits_nothing_is_asked_again(llmock: LLMock, asker: Asking) -> None:
    class Stopped(Impatient):
        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            return super().wait(timeout)

    llmock.rate_limit(times=None, retry_after=5)
    one = asker(stop=Stopped())
    with pytest.raises(Interrupted):
        one.claude.answer(PLAIN, "d0001")
    assert (len(llmock.requests), one.stop.waits) == (1, [5.0])


# Money.


def test_every_try_is_reserved_for_and_settled_once(llmock: LLMock, asker: Asking) -> None:
    llmock.rate_limit(times=1).reply("lost").disconnect(after_chunks=3).reply("It is.")
    one = asker()
    one.claude.answer(PLAIN, "d0001")
    one.claude.answer(WITH_TOOLS, "d0002")
    assert len(llmock.requests) == 4
    assert [(type(record), getattr(record, "call", 0)) for record in one.records] == [
        (kind, call) for call in range(1, 5) for kind in (Reserved, Spent)
    ]
    assert [spent.draft for spent in one.spent] == ["d0001"] * 3 + ["d0002"]
    assert {spent.model for spent in one.spent} == {MODEL}
    assert all(spent.at_most <= reserved.usd for spent, reserved in zip(one.spent, one.reserved, strict=True))


def test_a_call_costs_the_tokens_that_the_server_tells_of(llmock: LLMock, asker: Asking) -> None:
    llmock.reply("x" * 80)  # a quarter as many tokens as characters, in llmock
    one = asker()
    question = Question([{"type": "text", "text": "s" * 400}], [], [{"role": "user", "content": "q" * 40}])
    answer = one.claude.answer(question, "d0001")
    assert answer.usage == Usage(input_tokens=110, output_tokens=20)
    assert answer.usd == pytest.approx((110 * 2 + 20 * 10) / 1e6)
    (spent,) = one.spent
    assert (spent.usage, spent.usd, spent.at_most) == (answer.usage, answer.usd, answer.usd)
    assert (spent.stop_reason, spent.error) == ("end_turn", None)
    assert one.purse.held == pytest.approx(answer.usd)


def test_tokens_of_the_cache_cost_what_their_lifetime_does(serve: Serving, asker: Asking) -> None:
    kinds = {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}
    usage = {"cache_read_input_tokens": 30, "cache_creation_input_tokens": 100, "cache_creation": kinds}
    serve(streamed(begun(**usage) + ended(output_tokens=5)))
    answer = asker().claude.answer(PLAIN, "d0001")
    assert answer.usage == Usage(input_tokens=10, output_tokens=5, cache_read_input_tokens=30, **kinds)
    assert answer.usd == pytest.approx((10 * 2 + 5 * 10 + 30 * 0.5 + 60 * 3 + 40 * 7) / 1e6)


def test_where_the_server_names_no_lifetime_the_dearer_one_is_charged(serve: Serving, asker: Asking) -> None:
    serve(streamed(begun(cache_creation_input_tokens=100) + ended(output_tokens=5)))
    answer = asker().claude.answer(PLAIN, "d0001")
    assert answer.usage.ephemeral_1h_input_tokens == 100
    assert answer.usd == pytest.approx((10 * 2 + 5 * 10 + 100 * 7) / 1e6)


@pytest.mark.parametrize("status", [429, 529, 401, 400])
def test_a_call_that_is_refused_costs_nothing_and_holds_nothing(llmock: LLMock, asker: Asking, status: int) -> None:
    llmock.fail(status, times=None)
    one = asker()
    error = failing(one)
    assert one.purse.held == 0
    for spent in one.spent:
        assert (spent.usd, spent.at_most, spent.usage, spent.stop_reason) == (0, 0, Usage(), None)
        assert spent.error
        assert spent.error in str(error)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_that_breaks_off_is_asked_for_again_and_holds_what_was_set_aside(
    llmock: LLMock, asker: Asking, fault: str
) -> None:
    FAULTS[fault](llmock, 1)
    llmock.reply("half of an answer that is lost").reply("It is.")
    one = asker()
    assert one.claude.answer(PLAIN, "d0001").text == "It is."
    (broken, whole), (reserved, _) = one.spent, one.reserved
    assert broken.usd < broken.at_most == reserved.usd
    assert broken.stop_reason is None
    assert broken.error
    assert one.purse.held == pytest.approx(reserved.usd + whole.usd)
    assert one.purse.held == pytest.approx(held(one.records))


@pytest.mark.parametrize("rest", ["", event("error", error={"type": "api_error", "message": "Sorry"})])
def test_what_a_broken_stream_told_of_its_tokens_is_noted(serve: Serving, asker: Asking, rest: str) -> None:
    serve(streamed(begun(cache_read_input_tokens=30) + rest))
    one = asker()
    failing(one)
    assert {spent.usage for spent in one.spent} == {Usage(input_tokens=10, output_tokens=1, cache_read_input_tokens=30)}
    assert one.spent[0].usd == pytest.approx((10 * 2 + 1 * 10 + 30 * 0.5) / 1e6)


def test_money_is_set_aside_before_anything_is_sent(serve: Serving, asker: Asking) -> None:
    one = asker()
    seen: list[list[type]] = []

    def answer(request: Request) -> Response:
        seen.append([type(record) for record in one.records])
        return streamed(begun() + ended())

    serve(answer)
    one.claude.answer(PLAIN, "d0001")
    assert seen == [[Reserved]]


def test_a_purse_that_is_too_small_asks_nothing(llmock: LLMock, asker: Asking) -> None:
    one = asker(most=MOST_TOKENS * PRICE.output / 1e6)
    assert isinstance(failing(one), Closed)
    assert (llmock.requests, one.records) == ([], [])


def test_nor_does_one_that_a_broken_answer_has_emptied(llmock: LLMock, asker: Asking) -> None:
    llmock.truncate(after_chunks=3, times=None)
    probe = asker()
    failing(probe)
    asked = len(llmock.requests)
    one = asker(most=1.5 * probe.reserved[0].usd)
    assert isinstance(failing(one), Closed)
    assert len(llmock.requests) - asked == len(one.spent) == 1
    assert one.purse.held <= one.most


@pytest.mark.parametrize("share", [1, 4], ids=["a token a byte", "a token every four bytes"])
@pytest.mark.parametrize(
    ("kind", "price"),
    [
        ("input_tokens", Price(input=9, output=1, cache_read=1, write_5m=1, write_1h=1)),
        ("cache_read_input_tokens", Price(input=1, output=1, cache_read=9)),
        ("cache_creation_input_tokens", PRICE),
    ],
)
def test_what_is_set_aside_is_never_less_than_a_call_costs(
    serve: Serving, asker: Asking, share: int, kind: str, price: Price
) -> None:
    def dearest(request: Request) -> Response:
        sent = [request.json[key] for key in ("system", "tools", "messages")]
        size = len(json.dumps(sent, ensure_ascii=False).encode()) // share
        usage: dict[str, object] = {"input_tokens": 0, kind: size + 500}
        return streamed(begun(**usage) + called("{}") + ended("tool_use", MOST_TOKENS))

    serve(dearest)
    one = asker(price=price)
    messages = [{"role": "user", "content": "€" * 3000}]
    for _ in range(3):
        one.claude.answer(Question([{"type": "text", "text": "é" * 5000}], [EDIT], messages), "d0001")
        messages = [*messages, {"role": "assistant", "content": "no"}, {"role": "user", "content": "but\n" * 2000}]
    assert len(one.spent) == 3
    assert all(spent.usd <= reserved.usd for spent, reserved in zip(one.spent, one.reserved, strict=True))


def test_what_stays_the_same_is_set_aside_for_as_counted_once_it_was(llmock: LLMock, asker: Asking) -> None:
    one = asker()
    long = [{"type": "text", "text": "word " * 10_000}]
    for system in (long, long, [{"type": "text", "text": "verb " * 10_000}]):
        one.claude.answer(Question(system, [], PLAIN.messages), "d0001")
    first, second, other = (reserved.usd for reserved in one.reserved)
    assert second < first / 2
    assert other == first


def test_a_server_that_counts_no_input_changes_nothing_of_that(serve: Serving, asker: Asking) -> None:
    serve(streamed(begun(input_tokens=0) + ended()))
    one = asker()
    for _ in range(2):
        one.claude.answer(PLAIN, "d0001")
    first, second = (reserved.usd for reserved in one.reserved)
    assert second == first
