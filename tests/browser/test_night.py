"""A night of real training runs, as a person has it before their eyes: in its terminal, in another one, in the
dashboard, and as a report in the morning."""

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from agent.git import here
from agent.journal import read_journal
from agent.opening import journal_path
from agent.queue import IDEAS
from bench.data import Dataset
from tests.agent.serving import serving
from tests.agent.terminal import terminal
from tests.agent.test_night import environment, nightshift
from tests.browser.shown import Shown
from tests.browser.test_dashboard import fill

pytestmark = pytest.mark.browser
WIDTHS = (390, 768, 1440)
QUEUE = "## Slower embedding\n\n```knobs\nTIED_EMBED_LR = 0.04\n```\n\n## Last\n\n```knobs\nSCALAR_LR = 0.03\n```\n"
NIGHT = ("run", "--short", "--researcher", "queue", "--name", "n", "--slots", "2", "--max-experiments", "3")
MINUTES = 5 * 60


def opened(browser: Browser, address: str, width: int) -> Shown:
    """A page in a window of that width."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    shown = Shown(context.new_page())
    shown.page.on("console", lambda message: shown.complaints.append(message.text))
    shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    context.on("request", lambda request: shown.requests.append(request.url))
    shown.page.goto(address)
    return shown


def assert_sound(shown: Shown, address: str) -> None:
    """It fits, complains of nothing, asks nobody else for anything, and axe-core is content."""
    assert shown.overflow() <= 0
    assert shown.complaints == []
    assert {url for url in shown.requests if not url.startswith((address, "data:"))} == set()
    assert shown.serious() == []


@pytest.mark.timeout(1800)
def test_a_real_night_is_watched_browsed_changed_and_reported(
    small_data: Dataset, tmp_path: Path, browser: Browser
) -> None:
    root = tmp_path / "research"
    subprocess.run([sys.executable, "-m", "agent.cli", "init", str(root)], cwd=tmp_path, env=environment(), check=True)
    (root / "data").symlink_to(small_data.root)
    (root / IDEAS).write_text(QUEUE)
    with terminal(root, *NIGHT) as own, serving(root) as served:
        own.until("n-0001 baseline")
        with terminal(root, "watch") as other:
            other.until("n-0001 baseline", "next")
            windows = [opened(browser, served.address, width) for width in WIDTHS]
            page = windows[-1].page
            expect(page.locator("#live-title")).to_have_text("Running now")
            fill(page, title="From the page", knobs="BETA2 = 0.97", lane="optimizer", priority="1")
            expect(page.get_by_text("From the page is in the queue.")).to_be_visible()
            expect(page.locator(".runs canvas").first).to_be_visible(timeout=MINUTES * 1000)
            own.until("From the page", seconds=MINUTES)
            other.until("From the page", seconds=MINUTES)
            expect(page.locator("#live-title")).to_have_text("Not running", timeout=MINUTES * 1000)
            own.until("the night ended: 3 experiments decided", seconds=MINUTES)
            other.until("does not run")
        for shown in windows:
            expect(shown.page.locator(".opener")).to_have_count(4)
            assert_sound(shown, served.address)
    tried = [one.description for one in read_journal(journal_path(here(root), "n")).experiments]
    assert tried[1:3] in (["From the page", "Slower embedding"], ["Slower embedding", "From the page"])
    assert tried[3] == "Last"
    report = Path(nightshift(root, "report").stdout.strip()).as_uri()
    for width in WIDTHS:
        shown = opened(browser, report, width)
        expect(shown.page.locator(".opener")).to_have_count(4)
        shown.open(1)
        shown.drawn()
        assert_sound(shown, report)
