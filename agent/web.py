"""One page of text from the web, with every way that can go wrong bounded and said in one line.

A page is at most `LARGEST` bytes and takes at most `longest_s` seconds, however slowly it drips. What may pass (429,
5xx, a broken connection) is asked again a few times, after the delay the server names where it names one; an answer is
kept on disk for `KEPT_S` seconds.
"""

import asyncio
import contextlib
import email.utils
import fcntl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import httpx
import tenacity

from bench import clock, files
from bench.errors import LibraryError

LARGEST = 4 * 2**20
ATTEMPTS = 4
LONGEST_DELAY_S = 60.0
"""A server that asks for a longer wait is not waited for."""
KEPT_S = 7 * 24 * 3600.0

Sound = Callable[[str], bool]


class _Again(LibraryError):
    """Asked once more it may work; `delay` is the server's own word on when, in seconds."""

    def __init__(self, text: str, delay: float | None = None) -> None:
        super().__init__(text)
        self.delay = delay


@dataclass(frozen=True)
class Web:
    """Pages from the web, kept in the folder `cache`."""

    cache: Path
    longest_s: float = 60.0
    """For one page."""
    silence_s: float = 15.0
    """Without a single byte."""
    sleep: Callable[[float], None] = time.sleep

    def page(self, url: str, sound: Sound, pause_s: float = 0.0) -> str | None:
        """The text at `url`, or None where there is none: 404, or a page that is not `sound`, such as HTML.

        With `pause_s`, requests to that host are that many seconds apart and one at a time, over all processes that
        share the cache. Raises LibraryError where the server cannot be reached or answers with nothing usable.
        """
        kept = self.cache / sha256(url.encode()).hexdigest()
        with contextlib.suppress(FileNotFoundError):
            if clock.now_ms() / 1000 - kept.stat().st_mtime < KEPT_S:
                return kept.read_text(encoding="utf-8")
        asking = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Again),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            sleep=self.sleep,
            reraise=True,
        )
        text = asking(self._ask, url, pause_s)
        if text is None or not sound(text):
            return None
        files.write_atomic(kept, text.encode())
        return text

    def _ask(self, url: str, pause_s: float) -> str | None:
        host = httpx.URL(url).host
        with self._turn(host, pause_s) if pause_s else contextlib.nullcontext():
            try:
                return asyncio.run(self._get(url, host))
            except TimeoutError as error:
                raise LibraryError(f"{host} was not done with {url} after {self.longest_s:.0f} s") from error
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                raise LibraryError(f"{host} cannot be reached ({error}): is this machine online?") from error
            except (httpx.TransportError, httpx.DecodingError) as error:
                raise _Again(f"{host} broke off ({type(error).__name__})") from error
            except httpx.HTTPError as error:
                raise LibraryError(f"{host}: {error}") from error

    async def _get(self, url: str, host: str) -> str | None:
        headers = {
            "User-Agent": f"nightshift/{version('nightshift')}",
            "Accept": "text/markdown, text/plain, application/atom+xml",
        }
        async with (
            asyncio.timeout(self.longest_s),
            httpx.AsyncClient(
                follow_redirects=True, max_redirects=5, timeout=self.silence_s, headers=headers
            ) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code in (404, 410):
                return None
            if answer.status_code == 429 or answer.status_code >= 500:
                raise _Again(f"{host} answered {answer.status_code}", _delay(answer.headers.get("retry-after")))
            if answer.status_code != 200:
                raise LibraryError(f"{host} answered {answer.status_code} to {url}")
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > LARGEST:
                    raise LibraryError(f"{host} sent more than {LARGEST >> 20} MiB for {url}: that is no note")
            return body.decode(errors="replace")

    @contextlib.contextmanager
    def _turn(self, host: str, pause_s: float) -> Iterator[None]:
        """Hold the host's turn; its file was last written when the request before this one ended."""
        path = self.cache / f"{host}.turn"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.stat().st_size:
                self.sleep(min(pause_s, max(0.0, path.stat().st_mtime + pause_s - clock.now_ms() / 1000)))
            try:
                yield
            finally:
                file.truncate(0)
                file.write("\n")
                file.flush()


def is_markdown(text: str) -> bool:
    """Whether a page is what it should be, and not an error page in HTML that says 200."""
    start = text.lstrip("\ufeff \t\r\n")[:200].lower()
    return bool(start) and not start.startswith(("<!doctype", "<html", "<?xml", "<head", "<body"))


def _delay(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number, or a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - clock.now_ms() / 1000)
    return None


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    delay = error.delay if isinstance(error, _Again) else None
    if delay is not None and delay > LONGEST_DELAY_S:
        raise LibraryError(f"{error}, and asks to be left alone for {delay:.0f} s: try again then") from error
    return delay if delay is not None else 2.0**state.attempt_number
