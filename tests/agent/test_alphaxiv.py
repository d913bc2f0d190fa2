"""Fetching a paper from a loopback alphaXiv and arXiv: a paper or one clear line, whatever they answer."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from agent import alphaxiv
from agent.alphaxiv import Paper
from agent.arxiv import Identifier
from agent.web import LARGEST, Web
from bench.errors import LibraryError
from tests.agent.papers import OVERVIEW, Answer, atom, cut, drip, dripping_headers, entry, feed, in_turn, serve, text

WANTED = Identifier("2505.08823")
HTML = "<!DOCTYPE html>\n<html><body>Something went wrong</body></html>"


@pytest.fixture
def web(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The web as a person's machine has it, with loopback servers, and no waiting between attempts."""
    for name in ("ALPHAXIV_BASE_URL", "ARXIV_BASE_URL"):
        monkeypatch.setenv(name, httpserver.url_for("").rstrip("/"))
    return Web(tmp_path / "cache", longest_s=3.0, silence_s=1.0, sleep=lambda seconds: None)


def asked(server: HTTPServer) -> list[str]:
    return [request.path for request, _ in server.log]


def test_the_overview_is_taken_and_arxiv_says_what_the_paper_is(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, text(OVERVIEW), arxiv=feed(entry()))
    paper = alphaxiv.fetch(web, WANTED)
    assert paper.identifier == Identifier("2505.08823", 2)
    assert paper.title == "An Extra RMSNorm is All You Need for Fine Tuning to 1.58 Bits"
    assert (paper.year, paper.categories, paper.withdrawn, paper.missing) == (2025, ("cs.LG", "cs.CL"), False, ())
    assert paper.text == OVERVIEW
    assert paper.source.endswith("/overview/2505.08823.md")
    assert asked(httpserver) == ["/overview/2505.08823.md", "/api/query"]
    assert all(request.headers["User-Agent"].startswith("nightshift/") for request, _ in httpserver.log)


def test_without_an_overview_the_full_text_serves_and_404_is_not_asked_again(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, full=text("# A paper\n\nIts whole text."), arxiv=feed(entry()))
    assert alphaxiv.fetch(web, WANTED).text == "# A paper\n\nIts whole text."
    assert asked(httpserver) == ["/overview/2505.08823.md", "/abs/2505.08823.md", "/api/query"]


def test_a_redirect_is_followed(web: Web, httpserver: HTTPServer) -> None:
    moved = Response("", 302, {"Location": httpserver.url_for("/abs/moved.md")})
    serve(httpserver, moved, text("# Moved"), arxiv=feed(entry()))
    assert alphaxiv.fetch(web, WANTED).text == "# Moved"


def test_without_alphaxiv_title_and_abstract_are_left(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, arxiv=feed(entry()))
    paper = alphaxiv.fetch(web, WANTED)
    assert paper.text == ""
    assert paper.abstract.startswith("Large language models")
    assert paper.source == "https://arxiv.org/abs/2505.08823v2"


def test_without_arxiv_the_overview_names_the_paper(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, text(OVERVIEW), arxiv=text("busy", 503))
    paper = alphaxiv.fetch(web, WANTED)
    assert paper.title == "An Extra RMSNorm is All You Need for Fine Tuning to 1.58 Bits"
    assert paper.year == 2025
    assert [line for line in paper.missing if "503" in line]


@pytest.mark.parametrize(
    ("fault", "then"),
    [
        (text("slow down", 429, retry_after="1"), OVERVIEW),
        (text("slow down", 429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), OVERVIEW),
        (text("bad gateway", 502), OVERVIEW),
        (text("unavailable", 503), OVERVIEW),
        (cut, OVERVIEW),
    ],
    ids=["429", "429-date", "502", "503", "cut"],
)
def test_what_may_pass_is_asked_again(web: Web, httpserver: HTTPServer, fault: Answer, then: str) -> None:
    serve(httpserver, in_turn(fault, fault, text(then)), arxiv=feed(entry()))
    assert alphaxiv.fetch(web, WANTED).text == then
    assert asked(httpserver).count("/overview/2505.08823.md") == 3


def test_the_servers_own_delay_is_waited_for(web: Web, httpserver: HTTPServer) -> None:
    waits: list[float] = []
    serve(httpserver, in_turn(text("", 429, retry_after="7"), text(OVERVIEW)), arxiv=feed(entry()))
    alphaxiv.fetch(replace(web, sleep=waits.append), WANTED)
    assert waits == [7.0]


def test_a_delay_of_an_hour_is_not(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, text("", 429, retry_after="3600"), text("# Full"), arxiv=feed(entry()))
    paper = alphaxiv.fetch(web, WANTED)
    assert paper.text == "# Full"
    assert any("3600 s" in line for line in paper.missing)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (text("busy", 503), "503"),
        (cut, "broke off"),
        (drip(0.2, 1000), "not done"),
        (text("x" * (20 * 2**20)), f"more than {LARGEST >> 20} MiB"),
        (text("no", 403), "403"),
    ],
    ids=["503", "cut", "slow", "20 MB", "403"],
)
def test_a_page_that_stays_broken_is_said_and_passed_over(
    web: Web, httpserver: HTTPServer, answer: Answer, why: str
) -> None:
    serve(httpserver, answer, text("# Full"), feed(entry()))
    began = time.monotonic()
    paper = alphaxiv.fetch(web, WANTED)
    assert paper.text == "# Full"
    assert len(paper.missing) == 1
    assert why in paper.missing[0]
    assert "\n" not in paper.missing[0]
    assert time.monotonic() - began < 30


def test_headers_that_drip_are_no_hang(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    with dripping_headers() as address:
        monkeypatch.setenv("ALPHAXIV_BASE_URL", address)
        monkeypatch.setenv("ARXIV_BASE_URL", address)
        began = time.monotonic()
        with pytest.raises(LibraryError, match="was not done"):
            alphaxiv.fetch(replace(web, longest_s=1.0), WANTED)
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("page", [HTML, "", "\n<html lang='en'>", "<?xml version='1.0'?><Error/>"])
def test_an_error_page_that_says_200_is_no_paper(web: Web, httpserver: HTTPServer, page: str) -> None:
    serve(httpserver, text(page, kind="text/html"), text("# Full"), arxiv=feed(entry()))
    assert alphaxiv.fetch(web, WANTED).text == "# Full"


@pytest.mark.parametrize(
    "answer",
    [
        text(HTML, kind="text/html"),
        text("<feed>"),
        text(atom(entry())[:300]),
        text(atom(entry()).replace("?>", '?><!DOCTYPE feed [<!ENTITY a "aaaa">]>', 1)),
        feed(entry("http://arxiv.org/api/errors#x").replace("http://arxiv.org/abs/http", "http")),
    ],
    ids=["HTML", "no Atom", "cut", "entities", "error entry"],
)
def test_arxiv_may_answer_anything(web: Web, httpserver: HTTPServer, answer: Response) -> None:
    serve(httpserver, arxiv=answer)
    with pytest.raises(LibraryError, match=r"2505\.08823") as error:
        alphaxiv.fetch(web, WANTED)
    assert "\n" not in str(error.value)


def test_what_arxiv_says_of_another_paper_is_not_taken(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, arxiv=feed(entry("2502.02732v1")))
    with pytest.raises(LibraryError, match=r"2505\.08823: .*arXiv knows no such paper"):
        alphaxiv.fetch(web, WANTED)


def test_a_paper_that_nobody_knows_is_one_line(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, arxiv=feed())
    with pytest.raises(LibraryError, match="arXiv knows no such paper"):
        alphaxiv.fetch(web, WANTED)


def test_offline_is_one_line(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALPHAXIV_BASE_URL", "ARXIV_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(LibraryError, match="is this machine online") as error:
        alphaxiv.fetch(web, WANTED)
    assert str(error.value).count("online") == 1


@pytest.mark.parametrize(
    ("comment", "abstract"),
    [
        ("This paper has been withdrawn by the authors due to an error in Section 3", "We show much."),
        ("", "This paper has been withdrawn."),
    ],
)
def test_a_withdrawn_paper_is_marked(web: Web, httpserver: HTTPServer, comment: str, abstract: str) -> None:
    serve(httpserver, arxiv=feed(entry(comment=comment, abstract=abstract)))
    assert alphaxiv.fetch(web, WANTED).withdrawn


def test_a_version_and_an_old_style_name_are_asked_for_as_they_are(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, arxiv=feed(entry("cs/0506001v1")))
    paper = alphaxiv.fetch(web, Identifier("cs/0506001", 1))
    assert asked(httpserver)[:2] == ["/overview/cs/0506001v1.md", "/abs/cs/0506001v1.md"]
    assert httpserver.log[-1][0].args["id_list"] == "cs/0506001v1"
    assert paper.identifier == Identifier("cs/0506001", 1)


def test_an_answer_is_kept_and_a_broken_one_is_not(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, in_turn(text(HTML, kind="text/html"), text(OVERVIEW)), arxiv=feed(entry()))
    assert alphaxiv.fetch(web, WANTED).text == ""
    assert alphaxiv.fetch(web, WANTED).text == OVERVIEW
    before = len(asked(httpserver))
    assert alphaxiv.fetch(web, WANTED).text == OVERVIEW
    assert len(asked(httpserver)) == before


def test_requests_to_arxiv_are_three_seconds_apart_and_others_are_not(web: Web, httpserver: HTTPServer) -> None:
    waits: list[float] = []
    names = ("2505.08823", "2502.02732", "2105.13290")
    serve(httpserver, arxiv=feed(*map(entry, names)))
    for name in names:
        alphaxiv.fetch(replace(web, sleep=waits.append), Identifier(name))
    assert len(waits) == 2
    assert all(alphaxiv.PAUSE_S - 1 < wait <= alphaxiv.PAUSE_S for wait in waits)


def test_search_finds_titles(web: Web, httpserver: HTTPServer) -> None:
    serve(httpserver, arxiv=feed(entry(), entry("2502.02732v1", "Peri-LN")))
    found: list[Paper] = alphaxiv.find(web, 'extra "norm": layers OR')
    assert [paper.title for paper in found][1] == "Peri-LN"
    assert httpserver.log[0][0].args["search_query"] == "all:extra AND all:norm AND all:layers AND all:OR"


def test_search_without_words_is_refused(web: Web) -> None:
    with pytest.raises(LibraryError, match="in words"):
        alphaxiv.find(web, " ?!")


def test_the_pause_holds_for_all_who_share_the_cache(web: Web, httpserver: HTTPServer) -> None:
    times: list[float] = []

    def stamp(request: Request) -> Response:
        times.append(time.monotonic())
        return feed(*map(entry, names))

    names = ("2505.08823", "2502.02732")
    serve(httpserver, arxiv=stamp)
    for name in names:
        alphaxiv.fetch(Web(web.cache), Identifier(name))
    assert times[1] - times[0] >= alphaxiv.PAUSE_S - 0.1
