"""The page's file, and the command that makes it; what it looks like and does is for tests/browser."""

import base64
import hashlib
import json
import re
import shutil
import webbrowser
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent import page
from agent.cli import cli
from agent.cli_report import REPORT
from agent.journal import encode
from agent.morning import tell
from tests.agent import made
from tests.agent.builders import NIGHT, confirmed, journal
from tests.fakes import fake_tree, git

MORNING = tell(journal(*NIGHT))


class Reader(HTMLParser):
    """What a browser's parser makes of a page: elements in order, and the texts of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style"):
            self.texts.append(data)

    def policy(self) -> dict[str, list[str]]:
        (found,) = [one["content"] for tag, one in self.elements if one.get("http-equiv") == "Content-Security-Policy"]
        return {name: words for name, *words in (part.split() for part in (found or "").split(";"))}


def unpacked(text: str) -> dict[str, Any]:
    packed = re.search(r'id="data">([A-Za-z0-9+/=]*)<', text)
    assert packed
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed[1])))
    return found


def test_every_script_and_style_is_bound_to_the_page_by_its_hash() -> None:
    read = Reader(page.render(MORNING))
    policy = read.policy()
    assert policy["default-src"] == policy["connect-src"] == policy["base-uri"] == ["'none'"]
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in read.texts
        if not re.fullmatch(r"[A-Za-z0-9+/=]*", text)
    }
    assert hashes == set(policy["script-src"] + policy["style-src"])


def test_nothing_in_the_page_is_fetched_from_anywhere() -> None:
    read = Reader(page.render(MORNING))
    addresses = [one.get(name) for _, one in read.elements for name in ("src", "href", "srcset", "action", "data")]
    assert all(address.startswith(("#", "data:")) for address in addresses if address)
    assert not any("url(" in text or "@import" in text or "import(" in text for text in read.texts)
    assert not [one for _, one in read.elements if any(name.startswith("on") for name in one)]


def test_what_goes_in_comes_out_to_a_ten_millionth() -> None:
    found = unpacked(page.render(MORNING))
    assert found.keys() == MORNING.keys()
    pairs, whole = (one["experiments"][2]["pairs"]["confirm"] for one in (found, MORNING))
    assert pairs == [{key: pytest.approx(value, abs=1e-7) for key, value in pair.items()} for pair in whole]


def test_hostile_words_are_in_the_page_as_data_and_escaped_text_alone() -> None:
    hostile = "</script></noscript><script>window.hit=1</script>${x}$title"
    text = page.render(tell(journal(*NIGHT, confirmed(7, "keep", [-0.02, -0.018], description=hostile))))
    assert unpacked(text)["experiments"][-1]["description"] == hostile
    assert "window.hit=1</script>" not in text
    assert [tag for tag, _ in Reader(text).elements].count("script") == 3
    assert Reader(text).elements[0][0] == "html"


def test_a_report_knows_no_token_and_no_server() -> None:
    text = page.render(MORNING)
    assert '<meta name="nightshift-token" content="">' in text
    assert "nightshift.onrow" not in text


def test_a_live_page_may_speak_to_its_own_server_and_carries_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(page.FOLDER, tmp_path / "page")
    (tmp_path / "page" / "live.js").write_text("nightshift.onrow(() => {});")
    (tmp_path / "page" / "live.css").write_text("#live { color: red }")
    monkeypatch.setattr(page, "FOLDER", tmp_path / "page")
    text = page.render(MORNING, live=True, token='a"b')
    assert Reader(text).policy()["connect-src"] == ["'self'"]
    assert ("meta", {"name": "nightshift-token", "content": 'a"b'}) in Reader(text).elements
    assert "nightshift.onrow(() => {});" in text
    assert "#live { color: red }" in text


def test_a_night_of_a_thousand_is_less_than_three_megabytes() -> None:
    night = made.night(1000)
    assert len(page.render(tell(night, made.curves(night)))) < 3_000_000


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which the night called `night` was spent."""
    root = tmp_path / "person"
    for name, content in fake_tree().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=the start")
    path = root / ".git" / "nightshift" / "night" / "autoresearch.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{encode(record)}\n" for record in journal(*NIGHT).records))
    monkeypatch.chdir(root)
    return root


def typed(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["report", *words])
    return done.exit_code, str(done.exception) if done.exit_code else done.output


def test_the_report_lies_beside_its_journal_and_its_path_is_printed(person: Path) -> None:
    path = person / ".git" / "nightshift" / "night" / REPORT
    assert typed() == (0, f"{path}\n")
    assert unpacked(path.read_text())["night"]["name"] == "night"


def test_it_goes_where_it_is_asked_to(person: Path) -> None:
    assert typed("--output", "out/one.html") == (0, f"{person / 'out' / 'one.html'}\n")
    assert typed("--output", "-")[1] == (person / "out" / "one.html").read_text() + "\n"
    assert typed("--markdown", "--output", "pr.md")[0] == 0
    assert (person / "pr.md").read_text() == typed("--markdown")[1]
    assert json.loads(typed("--json")[1])["headline"]["state"] == "not_audited"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--markdown", "--json"), "choose one of"),
        (("--open", "--json"), "--open opens a page"),
        (("--open", "--output", "-"), "--open opens a page"),
        (("--output", "."), "is a folder; name a file"),
        (("--name", "other"), "no night 'other' here"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(
    person: Path, words: tuple[str, ...], complaint: str
) -> None:
    code, said = typed(*words)
    assert code != 0
    assert complaint in said
    assert "\n" not in said


def test_without_a_browser_the_path_is_said(person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def no_browser(address: str) -> bool:
        opened.append(address)
        return False

    monkeypatch.setattr(webbrowser, "open", no_browser)
    code, said = typed("--open")
    assert code == 0
    assert "there is no browser here; open" in said
    assert opened == [(person / ".git" / "nightshift" / "night" / REPORT).as_uri()]


def test_a_journal_without_a_night_is_no_report(person: Path) -> None:
    (person / ".git" / "nightshift" / "night" / "autoresearch.jsonl").write_text("")
    assert "holds no night yet: type `nightshift run`" in typed()[1]
