"""A real browser, and the pages that it is shown."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from agent.morning import tell
from tests.agent import made
from tests.browser import needs
from tests.browser.shown import Shown, written


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=needs.chromium(), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Shown]]:
    """Show a file in a window of a width and a colour scheme."""
    contexts = []

    def shown(path: Path, width: int = 1440, **options: Any) -> Shown:  # noqa: ANN401  # as Playwright takes them
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        found = Shown(page)
        page.on("console", lambda message: found.complaints.append(message.text))
        page.on("pageerror", lambda error: found.complaints.append(str(error)))
        context.on("request", lambda request: found.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#report:not([aria-busy])")
        return found

    yield shown
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an audited night of forty made-up experiments."""
    journal = made.night(40)
    journal.records.append(made.audited(journal))
    return written(tmp_path_factory.mktemp("forty"), tell(journal, made.curves(journal)))


@pytest.fixture(scope="session")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a night of a thousand."""
    journal = made.night(1000)
    return written(tmp_path_factory.mktemp("thousand"), tell(journal, made.curves(journal)))
