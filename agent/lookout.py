"""What a dashboard tells of a night as it goes on: looked at once a second, however many pages are open.

It tells three things, each where it changed: what runs `now`, the `queue`, and that there is more to the `morning`.
"""

import json
from collections.abc import Sequence
from threading import Lock
from typing import Any

from agent import live, queue
from agent.calls import Drafted, Reserved, Spent
from agent.curves import Curve, thinned
from agent.git import Repo
from agent.lock import holder
from agent.morning import morning
from agent.opening import night_path
from agent.records import Begun, Measured
from agent.watch import Seen, Standing, Trace, Watch
from bench import clock
from bench.errors import NightshiftError

EVERY_S = 1.0
STEADY = ("night", "running", "experiments", "usd", "verdicts")
"""Of what `nightshift watch --json` says: that which does not change by itself."""
MOST_POINTS = 48
"""Of a loss curve."""
REST_S = 0.25
"""Before the whole night is told again, for each of its experiments: that keeps it under a hundredth of a core."""
UNDER_WAY = (Measured, Begun, Reserved, Spent, Drafted)
"""Records that come while an experiment is under way; what they say is told with its verdict."""


class Lookout:
    """Looks at the night of that name, or else at the one that was written to last. May be asked from any thread."""

    def __init__(self, repo: Repo, name: str | None) -> None:
        self.repo, self.name = repo, name
        self.watch: Watch | None = None
        self.lock = Lock()
        self.looked = self.due = -EVERY_S
        """On the clock that never steps back: when it looked last, and when the morning may be told again."""
        self.told: dict[str, str] = {}
        self.report: dict[str, Any] = {"version": ""}
        self.queued: Standing | None = None
        """What the night stood at when the queue was told last; another one wherever the queue changed."""

    def look(self) -> dict[str, str]:
        """All that is told, as JSON by what it is about."""
        with self.lock:
            if clock.monotonic() > self.looked + EVERY_S / 2:
                self.looked = clock.monotonic()
                self._look()
            return dict(self.told)

    def morning(self) -> dict[str, Any]:
        """The night so far as `agent.morning` tells it, with a `version`. Raises UsageError and JournalError."""
        with self.lock:
            watch, _ = self._seen()
            if self.report["version"] != version(watch):
                self.report = {**morning(self.repo, watch.journal), "version": version(watch)}
                self.due = clock.monotonic() + REST_S * len(watch.journal.experiments)
                self.told["morning"] = _encode({"version": self.report["version"]})
            return self.report

    def queue(self) -> dict[str, Any]:
        """The ideas with where each stands in this night, and what is wrong with the rest."""
        with self.lock:
            return self._queue()

    def _look(self) -> None:
        try:
            watch, seen = self._seen()
            now = as_json(seen)
            if clock.monotonic() >= self.due:
                self.told["morning"] = _encode({"version": version(watch)})
        except (NightshiftError, OSError) as error:
            now = {"night": None, "trouble": str(error), "runs": []}
        working = holder(self.repo)
        self.told["now"] = _encode({**now, "working": str(working) if working else None})
        standing = self.watch.standing if self.watch else None
        if standing is None or standing is not self.queued:
            self.told["queue"], self.queued = _encode(self._queue()), standing

    def _seen(self) -> tuple[Watch, Seen]:
        watch, self.watch = self.watch, None  # one that could not read the journal begins anew
        path = night_path(self.repo, self.name)
        if watch is None or watch.journal.path != path:
            watch, self.due = Watch(self.repo, path), -EVERY_S
        seen = watch.look()
        self.watch = watch
        return watch, seen

    def _queue(self) -> dict[str, Any]:
        segment = self.watch.journal.in_segment() if self.watch else []
        decided = {one.idea: one for one in segment if one.idea}
        try:
            return queue.as_json(self.repo, decided)
        except (NightshiftError, OSError) as error:
            return {"ideas": [], "problems": [{"line": 0, "text": str(error)}]}


def version(watch: Watch) -> str:
    """What changes when there is more to tell of a night."""
    return f"{watch.name} {sum(not isinstance(one, UNDER_WAY) for one in watch.journal.records)}"


def as_json(seen: Seen) -> dict[str, Any]:
    """What is so this moment, with loss curves; time left is in whole minutes, so that it changes no more often."""
    told = live.as_json(seen)
    return {
        **{key: told[key] for key in STEADY},
        "trouble": None,
        "minutes_left": max(0, seen.now.until - seen.at) // 60_000 if seen.now else None,
        "runs": [_run(trace, seen.at) for trace in seen.traces],
    }


def _run(trace: Trace, at: int) -> dict[str, Any]:
    told = live.run_as_json(trace, at)
    del told["phase_s"]
    return {**told, "curve": _curve(trace.curve), "champion": _curve(trace.champion)}


def _curve(curve: Curve) -> dict[str, Sequence[float]]:
    points = thinned(curve, MOST_POINTS)
    return {"steps": [step for step, _ in points], "losses": [round(loss, 4) for _, loss in points]}


def _encode(word: object) -> str:
    return json.dumps(word, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
