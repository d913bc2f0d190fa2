"""Claude over the Messages API, always streaming: one question, one whole answer, or an error that says why not.

ANTHROPIC_API_KEY holds the key and ANTHROPIC_BASE_URL names another server that speaks the same API. The SDK is
imported on first use, as that alone takes seconds; its own retries are off, because it obeys any delay that a server
names and never retries a stream that is cut.
"""

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, Any

import tenacity

from agent.calls import Reserved, Usage
from agent.purse import Purse
from agent.settings import Settings
from bench import clock
from bench.errors import Closed, Interrupted, ModelError, NightshiftError, Outage

if TYPE_CHECKING:
    from anthropic import Anthropic
    from anthropic.types import Message

TRIES = 4
CONNECT_S = 10.0
LONGEST_WAIT_S = 60.0
"""A server that asks for more is out for now: there is better to do than to wait for it."""
OVERHEAD_TOKENS = 1000
"""What the server adds for the use of tools, and for the frame of each message; documented as less."""
KEYS = {
    "text": ("text",),
    "tool_use": ("id", "name", "input"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}
"""What of each kind of block goes back to the server."""

SECRETS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")

Block = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """A request: what stays the same for hours first, so that it can be served from the cache."""

    system: Sequence[Block]
    tools: Sequence[Block]
    messages: Sequence[Block]


@dataclass(frozen=True)
class Answer:
    """A whole answer, without blocks where a tool's input was no JSON."""

    blocks: tuple[Block, ...]
    stop_reason: str
    """The API's own, or `garbled`."""
    usage: Usage
    usd: float

    @property
    def text(self) -> str:
        """What it says beside its calls of tools."""
        return "".join(block["text"] for block in self.blocks if block["type"] == "text")


def reachable() -> bool:
    """Whether a key is in the environment."""
    return bool(os.environ.get("ANTHROPIC_API_KEY"))


class Claude:
    """Asks one model, and pays from one purse; `stop` ends what is under way."""

    def __init__(self, settings: Settings, purse: Purse, stop: Event | None = None) -> None:
        self.settings, self.purse, self.stop = settings, purse, stop or Event()
        self.prefixes: dict[str, int] = {}
        """Tokens of what stays the same, at the most, as answers have shown."""

    @cached_property
    def client(self) -> "Anthropic":
        """The SDK's."""
        import anthropic
        import httpx2

        timeout = httpx2.Timeout(self.settings.timeout_s, connect=CONNECT_S)
        return anthropic.Anthropic(max_retries=0, timeout=timeout)

    def close(self) -> None:
        """Let go of the connection, where there was one."""
        if "client" in vars(self):
            self.client.close()

    def ask(self, system: str, data: str) -> str:
        """The whole text of an answer to `data` under the instructions `system`. Raises ModelError for another end."""
        question = Question([{"type": "text", "text": system}], [], [{"role": "user", "content": data}])
        answer = self.answer(question, "")
        if answer.stop_reason != "end_turn":
            raise ModelError(f"Claude's answer is not whole: it stopped at {answer.stop_reason}")
        return answer.text

    def answer(self, question: Question, draft: str) -> Answer:
        """Claude's answer, asked for again after an outage for as long as the server asks, within limits of ours.

        Raises Outage where that did not help, Closed where no other call will do better, Interrupted when stopped, and
        ModelError for a question that the server will not take.
        """
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _delay(error, 1) is not None),
            stop=tenacity.stop_after_attempt(TRIES),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        return again(self._once, question, draft)

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Interrupted("stopped while waiting for Claude")

    def _once(self, question: Question, draft: str) -> Answer:
        if self.stop.is_set():
            raise Interrupted("stopped before Claude was asked")
        prefix = json.dumps([question.system, question.tools], ensure_ascii=False)
        rest = len(json.dumps(question.messages, ensure_ascii=False).encode())
        known = self.prefixes.get(prefix, len(prefix.encode()))
        reserved = self.purse.reserve(draft, known + rest + OVERHEAD_TOKENS, self.settings.max_tokens)
        call = _Call(reserved, clock.monotonic())
        with self._settled(call):
            blocks = self._stream(question, call)
        if call.usage.all_input:
            self.prefixes[prefix] = min(known, call.usage.all_input)
        return Answer(blocks, call.stop_reason or "garbled", call.usage, call.usd)

    def _stream(self, question: Question, call: "_Call") -> tuple[Block, ...]:
        """The blocks of a whole answer, or none where a tool's input was no JSON; `call` gets the rest of it."""
        settings = self.settings
        options: dict[str, Any] = {"tools": question.tools} if question.tools else {}
        if settings.effort:
            options |= {"thinking": {"type": "adaptive"}, "output_config": {"effort": settings.effort}}
        inputs: dict[int, str] = defaultdict(str)
        with self.client.messages.stream(
            model=settings.model,
            max_tokens=settings.max_tokens,
            system=question.system,  # type: ignore[arg-type]
            messages=question.messages,  # type: ignore[arg-type]
            **options,
        ) as stream:
            try:
                for event in stream:
                    if self.stop.is_set():
                        raise Interrupted("stopped while Claude was answering")
                    if event.type == "message_start":
                        call.usage = _usage(event.message)
                    elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                        inputs[event.index] += event.delta.partial_json
            except (json.JSONDecodeError, UnicodeDecodeError):
                raise
            except ValueError:  # the SDK's word for a tool's input that is no JSON
                call.error = "a tool's input was no JSON"
                return ()
            message = stream.current_message_snapshot
        call.usage = _usage(message)
        if message.stop_reason is None:  # a stream that is cut cleanly raises nothing in the SDK
            raise Outage("the answer was cut off: its stream ended without a reason")
        call.whole = True
        # The SDK reads what there is of an input, so that one which breaks off looks like a whole one.
        if message.stop_reason != "max_tokens" and not all(map(_is_object, inputs.values())):
            call.error = "a tool's input was no JSON object"
            return ()
        call.stop_reason = message.stop_reason
        return _blocks(message)

    @contextmanager
    def _settled(self, call: "_Call") -> Iterator[None]:
        """Settle the call however it ends, and give what the SDK raises our names."""
        import anthropic
        import httpx2

        try:
            yield
        except anthropic.APIStatusError as error:
            call.error = f"{error.status_code}: {_line(error)}"
            call.unasked = error.status_code != 200
            raise _named(error, call.error) from error
        except NightshiftError as error:
            call.error = str(error)
            raise
        except (
            Exception
        ) as error:  # a connection that broke, or a stream that is not one of messages: the SDK trusts it
            call.error = f"{type(error).__name__}: {_line(error)}"
            never_sent = (
                httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol | httpx2.LocalProtocolError
            )
            call.unasked = isinstance(error.__cause__, never_sent)
            raise Outage(f"Claude: {call.error}") from error
        finally:
            spent = self.purse.settle(
                call.reserved,
                call.usage,
                clock.monotonic() - call.started,
                stop_reason=call.stop_reason,
                error=call.error,
                cut=not (call.whole or call.unasked),
            )
            call.usd = spent.usd


@dataclass
class _Call:
    reserved: Reserved
    started: float
    usage: Usage = field(default_factory=Usage)
    stop_reason: str | None = None
    whole: bool = False
    unasked: bool = False
    """Refused before any answer began, which costs nothing."""
    error: str | None = None
    usd: float = 0.0


def _wait(state: tenacity.RetryCallState) -> float:
    assert state.outcome
    return _delay(state.outcome.exception(), state.attempt_number) or 0.0


def _named(error: Any, words: str) -> ModelError:  # noqa: ANN401  # anthropic.APIStatusError, which is imported late
    """An HTTP status as an error of ours. An error event in the middle of a stream comes with the status 200."""
    status = error.status_code
    if status in (200, 408, 409, 429) or status >= 500:
        return Outage(f"Claude: {words}", _retry_after(error.response.headers))
    if status in (401, 402, 403, 404):
        return Closed(f"Claude: {words}")
    return ModelError(f"Claude: {words}")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _delay(error: BaseException | None, attempt: int) -> float | None:
    """Seconds to wait after the failed `attempt`: the server's own, or 1, 2, 4 …; None where waiting is no help."""
    if not isinstance(error, Outage):
        return None
    seconds = 2.0 ** (attempt - 1) if error.retry_after is None else error.retry_after
    return seconds if seconds <= LONGEST_WAIT_S else None


def _line(error: Exception) -> str:
    """An error in one line, without the key, whatever a server repeats."""
    text = " ".join(str(error).split())
    for secret in filter(None, map(os.environ.get, SECRETS)):
        text = text.replace(secret, "…")
    return text[:200]


def _usage(message: "Message") -> Usage:
    """Tokens as the server told them. What it does not split by lifetime counts as the dearer kind."""
    told = message.usage
    kinds = told.cache_creation
    written = told.cache_creation_input_tokens or 0
    return Usage(
        input_tokens=told.input_tokens or 0,
        output_tokens=told.output_tokens or 0,
        cache_read_input_tokens=told.cache_read_input_tokens or 0,
        ephemeral_5m_input_tokens=(kinds.ephemeral_5m_input_tokens or 0) if kinds else 0,
        ephemeral_1h_input_tokens=(kinds.ephemeral_1h_input_tokens or 0) if kinds else written,
    )


def _is_object(text: str) -> bool:
    try:
        return not text or isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _blocks(message: "Message") -> tuple[Block, ...]:
    """What of an answer can be sent back. Text that is blank can not."""
    found = [block.model_dump() for block in message.content if block.type != "text" or block.text.strip()]
    return tuple(
        {"type": block["type"], **{key: _sound(block[key]) for key in KEYS[block["type"]]}}
        for block in found
        if block["type"] in KEYS
    )


def _sound(value: Any) -> Any:  # noqa: ANN401  # JSON
    """The value without halves of character pairs and numbers that are none: they can be received and never sent."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case str():
            return value.encode(errors="replace").decode()
        case list():
            return [_sound(one) for one in value]
        case dict():
            return {_sound(key): _sound(one) for key, one in value.items()}
    return value
