"""A night's money: never more than its limit, whatever becomes of the calls, and counted alike by who comes later."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Barrier, Lock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.calls import Authored, Reserved, Spent, Usage
from agent.purse import Purse, held, of_draft, spent
from agent.records import AnyRecord
from agent.settings import Price
from bench import clock
from bench.errors import Closed, Outage
from tests.agent.builders import dropped, header

MODEL = "claude-of-this-test"
PRICE = Price(input=1, output=10)
"""A call of 100,000 tokens in and 10,000 out costs at most 0.30 dollars: the cache's hour is twice as dear."""
KINDS = ("input_tokens", "cache_read_input_tokens", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


def purse(records: list[AnyRecord], most: float = math.inf, price: Price = PRICE) -> Purse:
    """One that goes on from the records and adds its own to them."""
    return Purse(MODEL, price, most, before=records, note=records.append)


def reserve(one: Purse, draft: str = "d0001") -> Reserved:
    return one.reserve(draft, 100_000, 10_000)


def settle(one: Purse, call: Reserved, usage: Usage, *, cut: bool = False) -> Spent:
    reason, error = (None, "cut off") if cut else ("end_turn", None)
    return one.settle(call, usage, 2.5, stop_reason=reason, error=error, cut=cut)


def test_the_most_that_a_call_can_cost_is_set_aside() -> None:
    records: list[AnyRecord] = []
    one = purse(records)
    call = reserve(one)
    assert call.usd == pytest.approx((100_000 * 2 + 10_000 * 10) / 1e6)
    assert (call.call, call.draft, call.model) == (1, "d0001", MODEL)
    assert records == [call]
    assert one.held == call.usd


def test_a_whole_answer_gives_back_what_it_did_not_take() -> None:
    records: list[AnyRecord] = []
    one = purse(records)
    call = reserve(one)
    usage = Usage(input_tokens=1000, output_tokens=100, ephemeral_1h_input_tokens=500)
    done = settle(one, call, usage)
    assert done.usd == done.at_most == pytest.approx((1000 + 100 * 10 + 500 * 2) / 1e6)
    assert (done.call, done.draft, done.model, done.usage) == (1, "d0001", MODEL, usage)
    assert (done.stop_reason, done.error, done.wall_s) == ("end_turn", None, 2.5)
    assert records == [call, done]
    assert one.held == pytest.approx(done.usd)


def test_an_answer_that_was_cut_gives_nothing_back() -> None:
    one = purse([])
    call = reserve(one)
    done = settle(one, call, Usage(output_tokens=100), cut=True)
    assert done.usd == pytest.approx(0.001)
    assert done.at_most == one.held == call.usd
    assert (done.stop_reason, done.error) == (None, "cut off")


def test_more_than_was_set_aside_is_counted_all_the_same() -> None:
    one = purse([])
    done = settle(one, reserve(one), Usage(output_tokens=10**6), cut=True)
    assert done.at_most == one.held == done.usd == pytest.approx(10)


def test_what_is_left_has_to_do_for_the_dearest_call() -> None:
    records: list[AnyRecord] = []
    one = purse(records, most=0.5)
    settle(one, reserve(one), Usage(output_tokens=5000))
    settle(one, reserve(one), Usage(), cut=True)
    before = list(records)
    with pytest.raises(Closed, match=r"^\$0\.15 of \$0\.50 is left, and a call can cost \$0\.30; --max-usd") as caught:
        reserve(one)
    assert "\n" not in str(caught.value)
    assert (records, one.calls) == (before, 2)
    assert one.held == pytest.approx(0.35)


def test_the_last_cent_may_be_spent() -> None:
    one = purse([], most=0.3)
    call = reserve(one)
    assert call.usd == one.most
    settle(one, call, Usage(), cut=True)
    with pytest.raises(Closed):
        one.reserve("d0001", 1, 0)


def test_what_is_set_aside_for_a_call_under_way_may_come_back() -> None:
    records: list[AnyRecord] = []
    one = purse(records, most=0.5)
    call = reserve(one)
    with pytest.raises(Outage, match="under way") as caught:
        reserve(one)
    assert "\n" not in str(caught.value)
    assert records == [call]
    settle(one, call, Usage(output_tokens=5000))
    assert reserve(one).call == 2


def test_it_may_also_not_come_back() -> None:
    one = purse([], most=0.5)
    first = one.reserve("d0001", 10_000, 1000)
    settle(one, reserve(one), Usage(), cut=True)
    with pytest.raises(Outage):
        reserve(one)
    settle(one, first, Usage())
    with pytest.raises(Closed):
        reserve(one)


class Slow:
    """A journal that takes its time, and takes one record at a time."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []
        self.turn = Lock()

    def note(self, record: AnyRecord) -> None:
        assert self.turn.acquire(blocking=False), "two records at once"
        clock.sleep(0.01)
        self.records.append(record)
        self.turn.release()


def test_calls_that_begin_at_once_do_not_share_what_is_left() -> None:
    journal, begin = Slow(), Barrier(8)
    one = Purse(MODEL, PRICE, 1.0, note=journal.note)

    def ask() -> bool:
        begin.wait()
        with suppress(Outage):
            return bool(reserve(one))
        return False

    with ThreadPoolExecutor(8) as pool:
        went = [future.result() for future in [pool.submit(ask) for _ in range(8)]]
    assert sum(went) == 3
    assert [record.call for record in journal.records if isinstance(record, Reserved)] == [1, 2, 3]
    assert one.held == pytest.approx(held(journal.records)) == pytest.approx(0.9)


def test_calls_that_end_at_once_are_all_counted() -> None:
    journal, end = Slow(), Barrier(8)
    one = Purse(MODEL, PRICE, note=journal.note)

    def finish(call: Reserved) -> Spent:
        end.wait()
        return settle(one, call, Usage(output_tokens=100))

    calls = [reserve(one) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(finish, calls))
    assert sorted(one.call for one in done) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert one.held == pytest.approx(held(journal.records)) == pytest.approx(8 * 0.001)


def test_a_server_that_costs_nothing_needs_no_money() -> None:
    one = purse([], most=0.0, price=Price(input=0, output=0))
    done = settle(one, one.reserve("d0001", 10**9, 10**9), Usage(input_tokens=10**9))
    assert (done.usd, done.at_most, one.held) == (0, 0, 0)


def test_a_night_that_goes_on_goes_on_with_its_numbers_and_its_money() -> None:
    records: list[AnyRecord] = [header(), dropped(7)]
    one = purse(records, most=1.0)
    settle(one, reserve(one), Usage(output_tokens=100))
    settle(one, reserve(one), Usage(output_tokens=100), cut=True)
    reserve(one)  # and the night ends
    later = purse(records, most=1.0)
    assert later.held == pytest.approx(0.001 + 0.3 + 0.3)
    call = reserve(later)
    assert call.call == 4
    settle(later, call, Usage(), cut=True)
    with pytest.raises(Closed):
        reserve(later)


def test_records_read_back_as_they_were_written() -> None:
    records: list[AnyRecord] = []
    one = purse(records)
    call = reserve(one)
    done = settle(one, call, Usage(output_tokens=100), cut=True)
    assert Reserved.model_validate_json(call.model_dump_json()) == call
    assert Spent.model_validate_json(done.model_dump_json()) == done


def test_what_a_night_holds_and_what_it_has_spent_are_two_numbers() -> None:
    records: list[AnyRecord] = []
    one = purse(records)
    settle(one, reserve(one), Usage(output_tokens=100))
    settle(one, reserve(one), Usage(output_tokens=200), cut=True)
    reserve(one)
    assert held(records) == pytest.approx(0.001 + 0.3 + 0.3)
    assert spent(records) == pytest.approx(0.001 + 0.002)
    assert (held([]), spent([])) == (0, 0)


def test_a_conversation_has_what_its_own_calls_took() -> None:
    records: list[AnyRecord] = []
    one = purse(records)
    settle(one, reserve(one, "d0001"), Usage(input_tokens=1, output_tokens=100, ephemeral_5m_input_tokens=7))
    settle(one, reserve(one, "d0002"), Usage(input_tokens=10**6))
    settle(one, reserve(one, "d0001"), Usage(input_tokens=2, output_tokens=200, cache_read_input_tokens=9), cut=True)
    reserve(one, "d0001")
    usage, usd = of_draft(records, "d0001")
    assert usage == Usage(input_tokens=3, output_tokens=300, ephemeral_5m_input_tokens=7, cache_read_input_tokens=9)
    assert usd == pytest.approx((3 + 300 * 10 + 7 * 1.25 + 9) / 1e6)
    assert of_draft(records, "d0003") == (Usage(), 0)


def test_what_it_took_for_an_earlier_experiment_is_not_counted_again() -> None:
    records: list[AnyRecord] = []
    one = purse(records)
    settle(one, reserve(one, "d0001"), Usage(output_tokens=100))
    settle(one, reserve(one, "d0002"), Usage(output_tokens=1000))
    records.append(dropped(2))
    assert of_draft(records, "d0001")[1] == pytest.approx(0.001)
    records.append(dropped(3, source="claude", authored=Authored(draft="d0001", arm="refine")))
    assert of_draft(records, "d0001") == (Usage(), 0)
    settle(one, reserve(one, "d0001"), Usage(output_tokens=7))
    assert of_draft(records, "d0001")[0] == Usage(output_tokens=7)
    assert of_draft(records, "d0002")[0] == Usage(output_tokens=1000)


@dataclass(frozen=True)
class Begin:
    """A call of so many tokens."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class End:
    """The end of one of the calls under way."""

    which: int
    cut: bool
    shares: tuple[float, ...]
    """How its input splits into the kinds of tokens; what is left of 1 was never sent."""
    written: float
    """Share of the output that was written."""

    def usage(self, of: Begin) -> Usage:
        tokens = {kind: int(of.input_tokens * share) for kind, share in zip(KINDS, self.shares, strict=True)}
        return Usage(output_tokens=int(of.output_tokens * self.written), **tokens)


@dataclass(frozen=True)
class Crash:
    """The night ends there and then, and is resumed."""


UNIT = st.floats(0, 1)
SHARES = st.tuples(UNIT, UNIT, UNIT, UNIT).map(lambda parts: tuple(part / max(1, sum(parts)) for part in parts))
TOKENS = st.integers(0, 2_000_000)
BEGIN = st.builds(Begin, TOKENS, TOKENS)
END = st.builds(End, st.integers(0, 9), st.booleans(), SHARES, UNIT)
DOLLARS = st.floats(0, 100)
PRICES = st.builds(
    Price,
    input=DOLLARS,
    output=DOLLARS,
    cache_read=st.none() | DOLLARS,
    write_5m=st.none() | DOLLARS,
    write_1h=st.none() | DOLLARS,
)


@settings(deadline=None)
@given(st.lists(BEGIN | END | st.just(Crash()), max_size=25), PRICES, st.floats(0, 500))
def test_whatever_becomes_of_its_calls_a_night_keeps_within_its_limit(
    steps: Sequence[Begin | End | Crash], price: Price, most: float
) -> None:
    records: list[AnyRecord] = []
    one = purse(records, most, price)
    under_way: list[tuple[Reserved, Begin]] = []
    made = 0
    for step in steps:
        match step:
            case Begin(input_tokens, output_tokens):
                cost, before = price.at_most(input_tokens, output_tokens), one.held
                try:
                    reserved = one.reserve("d0001", input_tokens, output_tokens)
                except (Outage, Closed) as error:
                    assert before + cost > most
                    assert one.held == before
                    assert isinstance(error, Outage) == bool(under_way)
                else:
                    made += 1
                    assert (reserved.call, reserved.usd) == (made, cost)
                    under_way.append((reserved, step))
            case End() if under_way:
                reserved, begun = under_way.pop(step.which % len(under_way))
                done = settle(one, reserved, step.usage(begun), cut=step.cut)
                assert done.usd <= reserved.usd or done.usd == pytest.approx(reserved.usd)
            case Crash():
                one, under_way = purse(records, most, price), []
        assert within(one, most, records)
    assert spent(records) <= held(records) or spent(records) == pytest.approx(held(records))


def within(one: Purse, most: float, records: list[AnyRecord]) -> bool:
    """Whether the limit is kept, and whoever reads the records finds the same; but for the last digits of floats."""
    found = pytest.approx(one.held, rel=1e-9, abs=1e-9)
    assert purse(records, most).held == held(records) == found
    return one.held <= most or most == found
