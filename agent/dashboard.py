"""The dashboard: the morning report as it comes about, and the few things that a person may do about the night.

It reads what the night leaves and writes what a person would write by hand; no night depends on it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Annotated, TypeVar

import anyio
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from agent import page, queue
from agent.door import Door, refused
from agent.git import Repo
from agent.ideas import LANE, PRIORITY, slug_of
from agent.knobs import read_value
from agent.lookout import EVERY_S, Lookout
from agent.stop import ask_to_stop
from bench.errors import NightshiftError, ProposalError, UsageError

HEARTBEAT_S = 15
"""After so long without a word one is said that means nothing, so that a page knows it is still connected."""
GRACE_S = 1.0
"""For a page to be told that the dashboard ends."""
RELOAD_S = 3
MOST_BYTES = 256 << 10
"""Of what a page sends."""
MOST_PRIORITY = 10**9 - 1
WAITING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Nightshift</title></head>
<body><main><h1>Nightshift</h1><p>{why}</p><p>This page looks again every few seconds.</p></main></body></html>
"""


def _one_line(text: str) -> str:
    if len(text.splitlines()) > 1:
        raise PydanticCustomError("one_line", "This takes one line")
    return text.strip()


Line = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
Priority = Annotated[int, Field(ge=-MOST_PRIORITY, le=MOST_PRIORITY, strict=True)]
Asked = TypeVar("Asked", bound=BaseModel)


class NewIdea(BaseModel):
    """An idea as the page sends it."""

    model_config = ConfigDict(extra="forbid")

    title: Line
    text: str = ""
    knobs: str = ""
    """Lines of `NAME = value`."""
    diff: str | None = None
    lane: Line = LANE
    priority: Priority = PRIORITY


class Change(BaseModel):
    """What a person wishes of an idea; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    priority: Priority | None = None
    retired: bool | None = None


class Nothing(BaseModel):
    """A request that says all by its address."""

    model_config = ConfigDict(extra="forbid")


class FieldError(UsageError):
    """One field of a form is wrong."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


@dataclass(frozen=True)
class Dashboard:
    """What answers each request, about one repository."""

    repo: Repo
    lookout: Lookout
    token: str

    async def page(self, _: Request) -> Response:
        """The report, live; where there is nothing to report yet, a page that says so and looks again."""

        def draw() -> str:
            return page.render(self.lookout.morning(), live=True, token=self.token)

        try:
            return HTMLResponse(await run_in_threadpool(draw))
        except NightshiftError as error:
            return HTMLResponse(WAITING.format(why=escape(str(error))), headers={"refresh": str(RELOAD_S)})

    async def morning(self, _: Request) -> Response:
        """The night so far."""
        return JSONResponse(await run_in_threadpool(self.lookout.morning))

    async def ideas(self, _: Request) -> Response:
        """The queue."""
        return JSONResponse(await run_in_threadpool(self.lookout.queue))

    async def events(self, _: Request) -> Response:
        """Whatever changes, as server-sent events, until the page is closed."""
        ends = anyio.Event()
        return EventSourceResponse(
            self._changes(ends), ping=HEARTBEAT_S, shutdown_event=ends, shutdown_grace_period=GRACE_S
        )

    async def _changes(self, ends: anyio.Event) -> AsyncIterator[ServerSentEvent]:
        before: dict[str, str] = {}
        while not ends.is_set():
            told = await run_in_threadpool(self.lookout.look)
            for name, text in told.items():
                if before.get(name) != text:
                    yield ServerSentEvent(text, event=name)
            before = told
            with anyio.move_on_after(EVERY_S):
                await ends.wait()

    async def add_idea(self, request: Request) -> Response:
        """Append an idea to the person's file, as `nightshift idea add` does."""
        new = await _asked(request, NewIdea)

        def add() -> None:
            slug = slug_of(new.title)
            if not slug:
                raise FieldError("title", "a title needs a word")
            if any(idea.slug == slug for idea in queue.read_queue(self.repo)[0]):
                raise FieldError("title", f"there is an idea of that name: {slug}")
            queue.add_idea(
                self.repo,
                new.title,
                new.text,
                knobs=_knobs(new.knobs),
                diff=new.diff,
                lane=new.lane or LANE,
                priority=new.priority,
            )

        await run_in_threadpool(add)
        return JSONResponse({"slug": slug_of(new.title)}, HTTPStatus.CREATED)

    async def change_idea(self, request: Request) -> Response:
        """Note what a person wishes of an idea."""
        slug, change = request.path_params["slug"], await _asked(request, Change)

        def wish() -> None:
            try:
                queue.wish(self.repo, slug, priority=change.priority, retired=change.retired)
            except UsageError as error:
                raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error

        await run_in_threadpool(wish)
        return JSONResponse({"slug": slug})

    async def stop(self, request: Request) -> Response:
        """Ask what works here to end after its runs under way."""
        await _asked(request, Nothing)
        found = await run_in_threadpool(ask_to_stop, self.repo)
        if found is None:
            return refused(HTTPStatus.CONFLICT, "nothing runs here")
        return JSONResponse({"stopping": str(found)})


def app(repo: Repo, name: str | None, *, token: str, loopback: bool, port: int) -> Starlette:
    """The application, for the night of that name or else for whichever was written to last."""
    dashboard = Dashboard(repo, Lookout(repo, name), token)
    return Starlette(
        routes=[
            Route("/", dashboard.page),
            Route("/morning.json", dashboard.morning),
            Route("/ideas.json", dashboard.ideas),
            Route("/events", dashboard.events),
            Route("/ideas", dashboard.add_idea, methods=["POST"]),
            Route("/ideas/{slug}", dashboard.change_idea, methods=["POST"]),
            Route("/stop", dashboard.stop, methods=["POST"]),
        ],
        middleware=[Middleware(Door, token=token, loopback=loopback, port=port)],
        exception_handlers={NightshiftError: _not_done, OSError: _not_done, HTTPException: _not_there},
    )


async def _asked(request: Request, kind: type[Asked]) -> Asked:
    """What a page sends, as `kind`. Raises HTTPException and FieldError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MOST_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST_BYTES:,} bytes")
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise FieldError(field, f"{field or 'what was sent'}: {first['msg']}") from error


def _knobs(text: str) -> Sequence[tuple[str, str]]:
    """The knobs in lines of `NAME = value`. Raises FieldError."""
    found = []
    for line in text.splitlines():
        name, equals, value = (part.strip() for part in line.partition("="))
        if line.strip() and not equals:
            raise FieldError("knobs", f"{name!r} is no line NAME = value")
        if line.strip():
            try:
                found.append((name, read_value(value)[1]))
            except ProposalError as error:
                raise FieldError("knobs", f"{name}: {error.detail}") from error
    return found


async def _not_done(request: Request, error: Exception) -> Response:
    if not isinstance(error, UsageError):
        return refused(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
    status = HTTPStatus.UNPROCESSABLE_ENTITY if request.method == "POST" else HTTPStatus.NOT_FOUND
    return refused(status, str(error), error.field or None if isinstance(error, FieldError) else None)


async def _not_there(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refused(HTTPStatus(error.status_code), error.detail)
