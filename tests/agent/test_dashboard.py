"""The dashboard in a real process: every route, every refusal, what it tells as a night goes on, and how it ends."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import httpx
import pytest

from agent import git
from agent.journal import read_journal
from agent.lock import alone
from agent.now import NOW, Board
from agent.opening import RUNS, journal_path
from agent.queue import IDEAS, read_queue, wish
from bench.job import Job, Progress
from bench.measure import PROGRESS
from bench.profiles import profile
from bench.slots import folder_name
from tests.agent.serving import Served, events, serving
from tests.chaos.night import NAME, make_repo, pass_night

NEW = {
    "title": "Best quality",
    "text": "More is better.",
    "knobs": "QUALITY = 0.95\n",
    "lane": "training",
    "priority": 7,
}


Lasting = tuple[Served, httpx.Client]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a night has ended."""
    folder = make_repo(tmp_path_factory.mktemp("ended") / "person")
    pass_night(folder, lambda line: None, finish=False)
    return folder


@pytest.fixture
def repo(ended: Path, tmp_path: Path) -> git.Repo:
    return git.here(copytree(ended, tmp_path / "person", symlinks=True))


@pytest.fixture
def served(repo: git.Repo) -> Iterator[Served]:
    with serving(repo.root) as found:
        yield found


@pytest.fixture
def page(served: Served) -> Iterator[httpx.Client]:
    with as_page(served) as client:
        yield client


@pytest.fixture(scope="module")
def lasting(ended: Path) -> Iterator[Lasting]:
    """A dashboard for all that changes nothing, with its page."""
    with serving(ended) as found, as_page(found) as client:
        yield found, client


def as_page(served: Served) -> httpx.Client:
    """What the page itself asks with."""
    headers = {
        "x-nightshift-token": served.token,
        "sec-fetch-site": "same-origin",
        "origin": served.address.rstrip("/"),
    }
    return httpx.Client(base_url=served.address, headers=headers)


def until(told: Iterator[tuple[str, Any]], name: str, **wanted: object) -> Any:  # noqa: ANN401  # whatever JSON holds
    """What is told of `name` first that says so."""
    return next(word for kind, word in told if kind == name and wanted.items() <= word.items())


def test_the_page_is_the_nights_report_and_may_speak_to_its_own_server_only(lasting: Lasting) -> None:
    served, _ = lasting
    answer = httpx.get(served.address)
    assert answer.status_code == 200
    assert "<title>Night n: " in answer.text
    assert "connect-src 'self'" in answer.text
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


def test_the_night_and_the_queue_are_had_as_json(lasting: Lasting) -> None:
    served, _ = lasting
    morning = httpx.get(f"{served.address}morning.json").json()
    assert [one["status"] for one in morning["experiments"]] == ["keep", "keep", "discard", "crash", "checks_failed"]
    ideas = httpx.get(f"{served.address}ideas.json").json()["ideas"]
    assert ideas[0]["slug"] == "better-quality"
    assert ideas[0]["state"].startswith("keep (n-0002")


@pytest.mark.parametrize("path", ["kb/ideas.md", "page.js", "..%2f..%2fREADME.md", ".git/config", "favicon.ico"])
def test_nothing_else_is_served(lasting: Lasting, path: str) -> None:
    served, _ = lasting
    answer = httpx.get(f"{served.address}{path}")
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not Found", "field": None}


def test_an_idea_goes_into_the_persons_file_as_the_command_puts_it_there(page: httpx.Client, repo: git.Repo) -> None:
    before = (repo.root / IDEAS).read_text()
    answer = page.post("/ideas", json=NEW)
    assert (answer.status_code, answer.json()) == (201, {"slug": "best-quality"})
    added = (repo.root / IDEAS).read_text().removeprefix(before)
    assert added == (
        "\n## Best quality\n\nMore is better.\n\n```knobs\nQUALITY = 0.95\n```\n\nlane: training\npriority: 7\n"
    )


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"title": ""}, "title", "needs a word"),
        ({"title": "Better: quality!"}, "title", "better-quality"),
        ({"title": "A\n## B"}, "title", "one line"),
        ({"title": "x" * 201}, "title", "200"),
        ({"text": "words\n## another heading\n\nand words"}, None, "more than one idea"),
        ({"knobs": "QUALITY"}, "knobs", "NAME = value"),
        ({"knobs": "QUALITY = high"}, "knobs", "QUALITY"),
        ({"knobs": "```\n## x = 1"}, "knobs", "NAME = value"),
        ({"diff": "no diff"}, None, "does not read"),
        ({"lane": "a\npriority: 1"}, "lane", "one line"),
        ({"priority": 10**9}, "priority", "less than"),
        ({"priority": "soon"}, "priority", "integer"),
        ({"path": "/etc/passwd"}, "path", "not permitted"),
    ],
)
def test_what_is_no_sound_idea_is_refused_with_its_field(
    lasting: Lasting, ended: Path, changed: dict[str, object], field: str | None, words: str
) -> None:
    _, page = lasting
    before = (ended / IDEAS).read_bytes()
    answer = page.post("/ideas", json=NEW | changed)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert (ended / IDEAS).read_bytes() == before


def test_priority_and_retirement_are_noted(page: httpx.Client, repo: git.Repo) -> None:
    page.post("/ideas", json=NEW)
    assert page.post("/ideas/best-quality", json={"priority": 3}).status_code == 200
    assert page.post("/ideas/best-quality", json={"retired": True}).status_code == 200
    last = read_queue(repo)[0][-1]
    assert (last.priority, last.retired) == (3, True)
    assert page.post("/ideas/best-quality", json={"retired": False}).status_code == 200
    assert not read_queue(repo)[0][-1].retired
    unknown = page.post("/ideas/best-qualty", json={"retired": True})
    assert unknown.status_code == 404
    assert "nearest: best-quality" in unknown.json()["error"]


def test_stop_asks_what_runs_to_end_after_its_runs(page: httpx.Client, repo: git.Repo) -> None:
    assert page.post("/stop", json={}).status_code == 409
    hold = (
        "import signal, sys, time; from pathlib import Path; from agent.git import here; from agent.lock import alone\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))\n"
        "with alone(here(Path.cwd()), 'night n'):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold], cwd=repo.root, stdout=subprocess.PIPE, text=True) as night:
        assert night.stdout and night.stdout.readline() == "held\n"
        answer = page.post("/stop", json={})
        assert answer.status_code == 200
        assert answer.json()["stopping"].startswith(f"night n, process {night.pid}")
        assert night.wait(10) == 7


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-nightshift-token": ""}, 403),
        ({"x-nightshift-token": "guessed"}, 403),
        ({"x-nightshift-token": "gu\u00e9ss"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:80"}, 421),
        ({"host": "[::bad"}, 421),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ],
)
@pytest.mark.parametrize("path", ["/ideas", "/ideas/better-quality", "/stop"])
def test_no_other_site_changes_anything(
    lasting: Lasting, ended: Path, path: str, headers: dict[str, str], status: int
) -> None:
    _, page = lasting
    before = (ended / IDEAS).read_bytes()
    encoded = {
        name.encode(): value.encode() for name, value in ({"content-type": "application/json"} | headers).items()
    }
    answer = page.post(path, content=json.dumps(NEW), headers=encoded)
    assert answer.status_code == status
    assert list(answer.json()) == ["error", "field"]
    assert (ended / IDEAS).read_bytes() == before


def test_no_other_site_reads_but_a_link_may_lead_here(lasting: Lasting) -> None:
    served, _ = lasting

    def status(**headers: str) -> int:
        return httpx.get(
            served.address, headers={name.replace("_", "-"): headers[name] for name in headers}
        ).status_code

    assert status(host="evil.example") == 421
    assert status(sec_fetch_site="cross-site", sec_fetch_mode="no-cors") == 403
    assert status(sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 200
    assert status(host=f"localhost:{httpx.URL(served.address).port}") == 200
    assert status(host="[::1]:9999") == 200, "a tunnel's port is another"


def test_what_is_sent_is_bounded_and_must_read(lasting: Lasting) -> None:
    _, page = lasting
    assert page.post("/ideas", json=NEW | {"text": "x" * 300_000}).status_code == 413
    for content in ("", "[]", "{", '{"title": "\\ud800", "text": "x"}'):
        answer = page.post("/ideas", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert len(answer.json()["error"].splitlines()) == 1
    assert page.put("/ideas", json=NEW).status_code == 405


def test_off_loopback_reading_needs_the_printed_address_too(repo: git.Repo) -> None:
    with serving(repo.root, "--host", "0.0.0.0") as served:
        printed = httpx.URL(served.address)
        assert printed.host == socket.gethostname().lower()
        address, token = f"http://127.0.0.1:{printed.port}/", printed.params["token"]
        for path in ("", "morning.json", "ideas.json", "events", "?token=guessed"):
            assert httpx.get(f"{address}{path}").status_code == 403
        with httpx.Client(base_url=address) as client:
            first = client.get("/", params={"token": token})
            assert (first.status_code, first.headers["location"]) == (303, "/")
            cookie = first.headers["set-cookie"].lower()
            assert "httponly" in cookie and "samesite=strict" in cookie
            assert client.get("/").status_code == 200
            assert client.post("/ideas", json=NEW).status_code == 403, "the cookie alone changes nothing"
            assert client.post("/ideas", json=NEW, headers={"x-nightshift-token": token}).status_code == 201


def test_what_runs_is_told_as_it_changes_with_the_champion_at_the_same_step(served: Served, repo: git.Repo) -> None:
    folder = journal_path(repo, NAME).parent
    with httpx.Client(timeout=20) as client, client.stream("GET", f"{served.address}events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer)
        assert until(told, "now", running=False)["night"] == NAME
        champion = read_journal(journal_path(repo, NAME)).experiments[1]
        job = Job({"trainer/train.py": b"pass\n"}, profile("short-breadth"), 7, label="n-0006 Warmer")
        with alone(repo, f"night {NAME}"):
            board = Board(folder / NOW, until=int(time.time() * 1000) + 600_000, max_experiments=9, max_usd=1.5)
            curve(folder / RUNS / folder_name(champion.tree, "short-breadth", 7), 3.0, 4)
            board.show(job, Progress(phase="train", step=2, loss=2.5))
            curve(folder / RUNS / board.runs[(job.label, "short-breadth", 7)].folder, 2.5, 2)
            now = until(told, "now", running=True)
            while not now["runs"] or not now["runs"][0]["beside_champion"]:
                now = until(told, "now", running=True)
            run = now["runs"][0]
            assert (run["label"], run["phase"], run["step"]) == ("n-0006 Warmer", "train", 2)
            assert run["beside_champion"] == {"step": 2, "training_loss": 2.5, "champion": 3.0}
            assert run["champion"] == {"steps": [1, 2, 3, 4], "losses": [3.0] * 4}
            assert now["minutes_left"] in (9, 10)
            assert now["experiments"] == {"decided": 4, "most": 9}
            assert now["usd"] == {"at_most": 0, "most": 1.5}


def curve(run: Path, loss: float, steps: int) -> None:
    run.mkdir(exist_ok=True)
    lines = [json.dumps({"phase": "train", "step": step, "loss": loss}) + "\n" for step in range(1, steps + 1)]
    (run / PROGRESS).write_text("".join(lines))


def test_the_queue_and_the_report_are_told_when_they_change_and_not_else(
    served: Served, page: httpx.Client, repo: git.Repo
) -> None:
    with httpx.Client(timeout=20) as client, client.stream("GET", f"{served.address}events") as answer:
        told = events(answer)
        before = until(told, "morning")["version"]
        until(told, "queue")
        page.post("/ideas", json=NEW)
        queue = until(told, "queue")
        assert queue["ideas"][-1] | {"line": 0} == {
            "slug": "best-quality",
            "title": "Best quality",
            "lane": "training",
            "priority": 7,
            "line": 0,
            "retired": False,
            "decided": None,
            "state": "ready",
        }
        wish(repo, "Best quality", retired=True)
        assert until(told, "queue")["ideas"][-1]["state"] == "retired"
        wish(repo, "Best quality", retired=False)
        pass_night(repo.root, lambda line: None, finish=False)
        after = until(told, "morning")["version"]
        assert after != before
        morning = page.get("/morning.json").json()
        assert morning["version"] != before
        assert morning["experiments"][-1]["description"] == "Best quality"


def test_before_the_first_night_the_page_says_so_and_then_shows_it(repo: git.Repo) -> None:
    folder = journal_path(repo, NAME).parent
    away = folder.rename(repo.root.parent / "away")
    with serving(repo.root) as served:
        answer = httpx.get(served.address)
        assert answer.status_code == 200
        assert "no night here yet: type `nightshift run`" in answer.text
        assert answer.headers["refresh"]
        nothing = httpx.get(f"{served.address}morning.json")
        assert nothing.status_code == 404
        assert nothing.json()["error"].startswith("no night here yet")
        with httpx.Client(timeout=20) as client, client.stream("GET", f"{served.address}events") as stream:
            told = events(stream)
            assert until(told, "now", night=None)["trouble"].startswith("no night here yet")
            copytree(away, folder)
            assert until(told, "now", night=NAME)["trouble"] is None
        assert "<title>Night n: " in httpx.get(served.address).text


def test_a_night_that_begins_is_followed_where_none_was_named(served: Served, repo: git.Repo) -> None:
    with httpx.Client(timeout=20) as client, client.stream("GET", f"{served.address}events") as answer:
        told = events(answer)
        until(told, "now", night=NAME)
        with serving(repo.root, "--name", NAME) as named:
            journal = journal_path(repo, NAME).read_text().replace(f'"name":"{NAME}"', '"name":"later"')
            journal_path(repo, "later").parent.mkdir()
            journal_path(repo, "later").write_text(journal)
            until(told, "now", night="later")
            assert httpx.get(f"{served.address}morning.json").json()["night"]["name"] == "later"
            assert httpx.get(f"{named.address}morning.json").json()["night"]["name"] == NAME


def test_a_journal_that_does_not_read_is_said_and_gone_on_from(served: Served, repo: git.Repo) -> None:
    path = journal_path(repo, NAME)
    sound = path.read_text()
    with httpx.Client(timeout=20) as client, client.stream("GET", f"{served.address}events") as answer:
        told = events(answer)
        until(told, "now", trouble=None)
        path.write_text(sound + "no record\n")
        assert "cannot be read" in until(told, "now", night=None)["trouble"]
        assert httpx.get(f"{served.address}morning.json").status_code == 500
        assert "cannot be read" in httpx.get(served.address).text
        path.write_text(sound)
        assert until(told, "now", night=NAME)["trouble"] is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_and_quietly_with_pages_open(served: Served, how: signal.Signals) -> None:
    with httpx.Client(timeout=20) as client, client.stream("GET", f"{served.address}events") as answer:
        told = events(answer)
        next(told)
        began = time.monotonic()
        assert served.end(how) == (0, "\nthe dashboard has ended\n", "")
        assert time.monotonic() - began < 3
        with pytest.raises((StopIteration, httpx.RemoteProtocolError)):
            while True:
                next(told)


def test_a_page_that_leaves_leaves_nothing_behind(served: Served) -> None:
    for _ in range(5):
        with httpx.Client(timeout=20) as client, client.stream("GET", f"{served.address}events") as answer:
            next(events(answer))
    assert served.end() == (0, "\nthe dashboard has ended\n", "")


def test_a_port_that_is_taken_is_one_line(repo: git.Repo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [sys.executable, "-m", "agent.cli", "dashboard", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(words, cwd=repo.root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "give another --port" in done.stderr


def test_a_queue_that_does_not_read_is_said_in_the_queue(served: Served, repo: git.Repo) -> None:
    wish(repo, "Better quality", priority=1)
    with (journal_path(repo, NAME).parents[1] / "queue.jsonl").open("a") as file:
        file.write("no wish\n")
    (problem,) = httpx.get(f"{served.address}ideas.json").json()["problems"]
    assert "delete that line" in problem["text"]


def test_a_repository_that_goes_away_is_said(served: Served, repo: git.Repo) -> None:
    with httpx.Client(timeout=20) as client, client.stream("GET", f"{served.address}events") as answer:
        told = events(answer)
        until(told, "now", night=NAME)
        rmtree(repo.root / ".git" / "nightshift")
        assert until(told, "now", night=None)["trouble"].startswith("no night here yet")
