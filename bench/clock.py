"""The one place that reads a clock, so that a simulated one needs no second code path."""

import datetime
import time


def now_ms() -> int:
    """Wall-clock time in milliseconds since the epoch, for people and logs."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds on a clock that never steps back, for durations and limits."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Let so many seconds pass."""
    time.sleep(seconds)


def through_sleep() -> float:
    """Seconds on a clock that also runs while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def day_of(milliseconds: int) -> str:
    """The day of a moment given since the epoch, YYYY-MM-DD in UTC."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).date().isoformat()


def time_of(milliseconds: int) -> str:
    """A moment given since the epoch as the time of this place, HH:MM."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000).strftime("%H:%M")
