"""The dashboard in a real browser, about a real night: what a person sees, adds, moves, retires and stops there."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from agent import git
from agent.journal import read_journal
from agent.lock import alone, holder
from agent.now import NOW, Board
from agent.opening import RUNS, journal_path
from agent.queue import IDEAS, read_queue
from bench.data import Dataset
from bench.job import Job, Progress
from bench.measure import PROGRESS
from bench.profiles import profile
from bench.slots import folder_name
from tests.agent.serving import Served, serving
from tests.agent.test_night import run_night
from tests.agent.test_running import MANY, UNKNOWN, night
from tests.browser.shown import Shown
from tests.fakes import make_repo

pytestmark = pytest.mark.browser
WIDTHS = (390, 768, 1440)
NAME = "n"
Open = Callable[..., Shown]


@pytest.fixture(scope="module")
def measured(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a night has measured its baseline, refused the one idea there was, and ended."""
    folder = make_repo(tmp_path_factory.mktemp("measured") / "person", small_data.root, UNKNOWN)
    run_night(folder)
    return folder


@pytest.fixture
def repo(measured: Path, tmp_path: Path) -> git.Repo:
    return git.here(copytree(measured, tmp_path / "person", symlinks=True))


@pytest.fixture
def served(repo: git.Repo) -> Iterator[Served]:
    with serving(repo.root) as found:
        yield found


@pytest.fixture
def watch(served: Served, browser: Browser) -> Iterator[Open]:
    """Open the dashboard in a window of a width and a colour scheme."""
    with contextlib.ExitStack() as stack:

        def opened(width: int = 1440, **options: str) -> Shown:
            context = browser.new_context(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
            stack.callback(context.close)
            found = Shown(context.new_page())
            found.page.on("console", lambda message: found.complaints.append(message.text))
            found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
            context.on("request", lambda request: found.requests.append(request.url))
            found.page.goto(served.address)
            expect(found.page.locator("#queue-title")).not_to_have_text("Queue")
            return found

        yield opened


def told(page: Page) -> None:
    """Wait for the first word on what runs."""
    expect(page.locator("#live-title")).not_to_be_empty()


def fill(page: Page, **fields: str) -> None:
    """Fill the form of a new idea in, and send it."""
    if not page.locator("#new-title").is_visible():
        page.locator("#adding").click()
    for name, text in fields.items():
        page.locator(f"#new-{name}").fill(text)
    page.get_by_role("button", name="Add to the queue").click()


def run_in(repo: git.Repo, steps: int = 12) -> Board:
    """What a night says of a run under way beside its champion's, and the losses of both."""
    folder = journal_path(repo, NAME).parent
    champion = read_journal(journal_path(repo, NAME)).experiments[0]
    board = Board(folder / NOW, until=int(time.time() * 1000) + 4_000_000, max_experiments=9, max_usd=1.5)
    job = Job({"trainer/train.py": b"pass\n"}, profile("short-breadth"), 7, label="n-0003 <b>Warmer</b>")
    for name, first in ((champion.tree, 7.0), ("", 6.9)):
        run = folder / RUNS / folder_name(name, "short-breadth", 7)
        if not name:
            board.show(job, Progress(phase="train", step=steps, loss=first - 0.1 * steps))
            run = folder / RUNS / board.runs[(job.label, "short-breadth", 7)].folder
        run.mkdir(exist_ok=True)
        lines = [
            json.dumps({"phase": "train", "step": step, "loss": first - step / 10}) for step in range(1, steps + 1)
        ]
        (run / PROGRESS).write_text("\n".join(lines) + "\n")
    return board


def test_what_is_added_and_moved_in_the_page_changes_what_a_night_tries_next(
    repo: git.Repo, served: Served, watch: Open
) -> None:
    (repo.root / IDEAS).write_text(UNKNOWN + MANY)
    with night(repo.root, slots=1):  # with two, what comes next is under way already
        shown = watch()
        page = shown.page
        expect(page.locator("#live-title")).to_have_text("Running now")
        fill(page, title="From the page", knobs="QUALITY = 0.85", lane="training", priority="1")
        expect(page.get_by_text("From the page is in the queue.")).to_be_visible()
        page.locator("#retire-worse-and-slow-2").click()
        expect(page.get_by_text("Worse and slow 2: retired.")).to_be_visible()
        page.locator("#priority-worse-and-slow-5").fill("2")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Worse and slow 5: priority 2.")).to_be_visible()
        expect(page.locator(".runs article").first).to_contain_text("· seed ", timeout=30_000)
        expect(page.locator(".verdicts")).to_contain_text("From the page", timeout=60_000)
        expect(page.locator(".verdicts")).to_contain_text("slow 5", timeout=60_000)
        expect(page.locator(".opener", has_text="From the page")).to_be_visible(timeout=30_000)
        page.locator("#stop").click()
        page.get_by_role("button", name="Stop after these runs").click()
        expect(page.get_by_text("The night was asked to stop.")).to_be_visible()
        expect(page.locator("#live-title")).to_have_text("Not running", timeout=60_000)
        assert holder(repo) is None
    tried = [one.description for one in read_journal(journal_path(repo, NAME)).experiments]
    assert tried[3:5] == ["From the page", "Worse and slow 5"]
    assert "Worse and slow 2" not in tried
    assert shown.complaints == []
    assert {url.startswith((served.address, "data:")) for url in shown.requests} == {True}


def test_a_run_under_way_is_shown_with_its_curve_and_moves(repo: git.Repo, watch: Open) -> None:
    with alone(repo, f"night {NAME}"):
        run_in(repo)
        page = watch().page
        card = page.locator(".runs article")
        expect(card.get_by_role("heading")).to_have_text("n-0003 <b>Warmer</b>")
        expect(card).to_contain_text("short-breadth · seed 7 · train · step 12 of")
        expect(card).to_contain_text("champion 5.8000 at step 12")
        expect(card.locator("canvas")).to_be_visible()
        expect(page.locator(".live-facts")).to_contain_text("1 h 06 min left · 1 of at most 9 experiments")
        page.evaluate("window.before = document.querySelector('.runs canvas')")
        run_in(repo, 14)
        expect(card).to_contain_text("step 14 of")
        assert page.evaluate("window.before === document.querySelector('.runs canvas')"), "it is drawn anew each second"
    expect(page.locator("#live-title")).to_have_text("Not running")
    expect(card).to_have_count(0)


def test_what_is_wrong_with_an_idea_is_said_beside_its_field(repo: git.Repo, watch: Open) -> None:
    before = (repo.root / IDEAS).read_text()
    shown = watch()
    page = shown.page
    fill(page, title="", knobs="QUALITY = 0.9")
    expect(page.locator("#new-title-wrong")).to_contain_text("a title needs a word")
    expect(page.locator("#new-title")).to_be_focused()
    expect(page.locator("#new-title")).to_have_attribute("aria-invalid", "true")
    fill(page, title="Sound", knobs="QUALITY = high")
    expect(page.locator("#new-title-wrong")).to_be_empty()
    expect(page.locator("#new-knobs-wrong")).to_contain_text("QUALITY")
    fill(page, knobs="", text="")
    expect(page.locator("#wrong-idea")).to_contain_text("nothing under it")
    assert (repo.root / IDEAS).read_text() == before
    fill(page, text="A sound one.")
    expect(page.locator("ol.ideas")).to_contain_text("Sound")
    assert [one for one in shown.complaints if "422" not in one] == []


def test_an_idea_may_be_a_diff(repo: git.Repo, watch: Open) -> None:
    page = watch().page
    patch = "--- a/trainer/settings.py\n+++ b/trainer/settings.py\n@@ -1 +1 @@\n-QUALITY = 0.5\n+QUALITY = 0.6"
    fill(page, title="Of lines", diff=patch)
    expect(page.locator("ol.ideas")).to_contain_text("Of lines")
    assert f"```diff\n{patch}\n```" in (repo.root / IDEAS).read_text()


def test_priority_and_retirement_keep_the_focus_and_hold(repo: git.Repo, watch: Open) -> None:
    (repo.root / IDEAS).write_text(MANY)
    page = watch().page
    order = "[...document.querySelectorAll('ol.ideas > li')].map((one) => one.querySelector('input').id)"
    assert page.evaluate(order)[0] == "priority-worse-and-slow-1"
    page.locator("#priority-worse-and-slow-4").fill("3")
    page.locator("#retire-worse-and-slow-4").focus()
    expect(page.locator("ol.ideas > li").first).to_contain_text("slow 4")
    page.keyboard.press("Enter")
    expect(page.locator("ol.ideas > li").last).to_contain_text("retired")
    expect(page.locator("#retire-worse-and-slow-4")).to_be_focused()
    expect(page.locator("#retire-worse-and-slow-4")).to_have_text("Take back")
    page.keyboard.press("Enter")
    expect(page.locator("ol.ideas > li").first).to_contain_text("slow 4")
    found = {idea.slug: idea for idea in read_queue(repo)[0]}["worse-and-slow-4"]
    assert (found.priority, found.retired) == (3, False)


def test_a_stop_is_asked_for_twice(repo: git.Repo, watch: Open) -> None:
    with alone(repo, f"night {NAME}"):
        shown = watch()
        shown.page.locator("#stop").focus()
        shown.page.keyboard.press("Enter")
        expect(shown.page.get_by_role("dialog")).to_be_visible()
        shown.page.keyboard.press("Escape")
        expect(shown.page.get_by_role("dialog")).to_be_hidden()
        expect(shown.page.locator("#stop")).to_be_focused()
        assert not [url for url in shown.requests if url.endswith("/stop")]


def test_a_connection_that_is_lost_and_comes_back_is_told(repo: git.Repo, served: Served, watch: Open) -> None:
    page = watch().page
    told(page)
    port = served.address.rstrip("/").rpartition(":")[2]
    served.end()
    expect(page.get_by_text("The connection to the dashboard is lost")).to_be_visible(timeout=15_000)
    page.locator("#adding").click()
    fill(page, title="Nobody hears this", text="words")
    expect(page.locator("#wrong-idea")).to_contain_text("the dashboard does not answer")
    with serving(repo.root, "--port", port):
        expect(page.get_by_text("Connected to the dashboard again.")).to_be_visible(timeout=20_000)
        fill(page, title="An old page", text="words")
        expect(page.locator("#wrong-idea")).to_contain_text("load it again")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_its_window_and_axe_finds_nothing_serious(width: int, scheme: str, repo: git.Repo, watch: Open) -> None:
    (repo.root / IDEAS).write_text(UNKNOWN + MANY + f"\n## {'W' * 150}\n\nwords\n")
    with alone(repo, f"night {NAME}"):
        run_in(repo)
        shown = watch(width, color_scheme=scheme)
        shown.page.locator("#adding").click()
        fill(shown.page, title="")
        expect(shown.page.locator("#new-title-wrong")).not_to_be_empty()
        expect(shown.page.locator(".runs canvas")).to_be_visible()
        assert shown.overflow() <= 0
        assert shown.serious() == []
        shown.page.locator("#stop").click()
        assert shown.overflow() <= 0


def test_off_loopback_the_printed_address_lets_the_page_in(repo: git.Repo, browser: Browser) -> None:
    with serving(repo.root, "--host", "0.0.0.0") as served:
        page = browser.new_page()
        page.goto(str(httpx.URL(served.address).copy_with(host="127.0.0.1")))
        told(page)
        assert "token" not in page.url
        fill(page, title="From afar", text="words")
        expect(page.get_by_text("From afar is in the queue.")).to_be_visible()
        page.reload()
        told(page)
        page.close()
