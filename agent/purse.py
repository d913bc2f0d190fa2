"""A night's money: set aside before each call of the language model, and settled after it.

Both are journalled, so that a night which is cut off in the middle of a call still counts what that call can have cost.
What is spent and set aside together never passes the limit.
"""

import math
from collections.abc import Callable, Iterable
from threading import Lock

from agent.calls import Reserved, Spent, Usage
from agent.records import AnyRecord, Experiment
from agent.settings import Price
from bench import clock
from bench.errors import Closed, Outage


class Purse:
    """The money for calls of one model, from any thread."""

    def __init__(
        self,
        model: str,
        price: Price,
        most: float = math.inf,
        before: Iterable[AnyRecord] = (),
        note: Callable[[AnyRecord], None] = lambda record: None,
    ) -> None:
        """`most` is in dollars for the whole night; `before` are the records of its earlier hours."""
        self.model, self.price, self.most, self.note = model, price, most, note
        records = list(before)
        self.calls = max((one.call for one in records if isinstance(one, Reserved)), default=0)
        self.held = held(records)
        self.open = 0
        """Calls under way."""
        self.lock = Lock()

    def reserve(self, draft: str, input_tokens: int, output_tokens: int) -> Reserved:
        """Set aside the most that a call can cost. Raises Closed where that is more than is left, or Outage for now."""
        usd = self.price.at_most(input_tokens, output_tokens)
        with self.lock:
            if self.held + usd > self.most and self.open:
                raise Outage("what is left of the money is set aside for a call that is under way")
            if self.held + usd > self.most:
                left = max(self.most - self.held, 0.0)
                words = (
                    f"${left:.2f} of ${self.most:.2f} is left, and a call can cost ${usd:.2f}; --max-usd allows more"
                )
                raise Closed(words)
            self.calls += 1
            record = Reserved(timestamp=clock.now_ms(), call=self.calls, draft=draft, model=self.model, usd=usd)
            self.note(record)
            self.held += usd
            self.open += 1
        return record

    def settle(
        self, reserved: Reserved, usage: Usage, wall_s: float, *, stop_reason: str | None, error: str | None, cut: bool
    ) -> Spent:
        """Note what the call took. Of an answer that was `cut` nobody knows the rest: what was set aside stays so."""
        usd = self.price.dollars(usage)
        record = Spent(
            timestamp=clock.now_ms(),
            call=reserved.call,
            draft=reserved.draft,
            model=reserved.model,
            usage=usage,
            usd=usd,
            at_most=max(usd, reserved.usd) if cut else usd,
            stop_reason=stop_reason,
            error=error,
            wall_s=wall_s,
        )
        with self.lock:
            self.note(record)
            self.held += record.at_most - reserved.usd
            self.open -= 1
        return record


def held(records: Iterable[AnyRecord]) -> float:
    """Dollars that a night can have cost at the most: what is settled, and what calls without an end had set aside."""
    calls: dict[int, float] = {}
    for one in records:
        if isinstance(one, Reserved):
            calls[one.call] = one.usd
        elif isinstance(one, Spent):
            calls[one.call] = one.at_most
    return math.fsum(calls.values())


def of_draft(records: Iterable[AnyRecord], draft: str) -> tuple[Usage, float]:
    """Tokens and dollars of one conversation since the last experiment that it led to, as the server told of them."""
    calls: list[Spent] = []
    for one in list(records):
        if isinstance(one, Spent) and one.draft == draft:
            calls.append(one)
        elif isinstance(one, Experiment) and one.authored and one.authored.draft == draft:
            calls.clear()
    return sum((one.usage for one in calls), Usage()), math.fsum(one.usd for one in calls)


def spent(records: Iterable[AnyRecord]) -> float:
    """Dollars of the usage that the server told of."""
    return math.fsum(one.usd for one in records if isinstance(one, Spent))
