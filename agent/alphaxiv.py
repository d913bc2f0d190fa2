"""A paper by its arXiv identifier: alphaXiv's overview, else its full text, and arXiv's own word on what the paper is.

Addresses (publicly described, without an interface contract): `alphaxiv.org/overview/ID.md`, machine-written, 404 until
somebody asked for it; `alphaxiv.org/abs/ID.md`, the extracted text; arXiv's API (info.arxiv.org/help/api), which wants
one request at a time and three seconds between them. ALPHAXIV_BASE_URL and ARXIV_BASE_URL name other servers.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlencode
from xml.etree import ElementTree

from agent.arxiv import Identifier, identifier
from agent.web import Web, is_markdown
from bench.errors import LibraryError

ALPHAXIV = "https://alphaxiv.org"
ARXIV = "https://export.arxiv.org"
PAUSE_S = 3.0

_NAMES = {"": "http://www.w3.org/2005/Atom", "arxiv": "http://arxiv.org/schemas/atom"}
_WITHDRAWN = re.compile(r"\bwithdrawn\b", re.IGNORECASE)


@dataclass(frozen=True)
class Paper:
    """What was found of a paper. `text` is empty where there is only arXiv's title and abstract."""

    identifier: Identifier
    title: str
    abstract: str = ""
    year: int | None = None
    categories: tuple[str, ...] = ()
    licence: str | None = None
    withdrawn: bool = False
    text: str = ""
    source: str = ""
    """Address of the text, or of the abstract."""
    missing: tuple[str, ...] = ()
    """What could not be had, in a line each."""


def fetch(web: Web, wanted: Identifier) -> Paper:
    """All that can be had of one paper. Raises LibraryError where that is not even a title."""
    missing: list[str] = []
    text, source = "", ""
    for page in ("overview", "abs"):
        address = f"{_base('ALPHAXIV_BASE_URL', ALPHAXIV)}/{page}/{wanted}.md"
        try:
            found = web.page(address, is_markdown)
        except LibraryError as error:
            missing.append(str(error))
            continue
        if found:
            text, source = found, address
            break
    try:
        answered = _ask(web, id_list=str(wanted), max_results="1")
        paper = next((one for one in answered if one.identifier.name == wanted.name), None)
    except LibraryError as error:
        paper = None
        missing.append(str(error))
        if not text:
            raise LibraryError(f"{wanted}: {'; '.join(dict.fromkeys(missing))}") from error
    if paper is None:
        if not text:
            raise LibraryError(f"{wanted}: arXiv knows no such paper")
        paper = Paper(wanted, _heading(text) or str(wanted), year=_year(wanted))
    return replace(paper, text=text, source=source or paper.source, missing=tuple(dict.fromkeys(missing)))


def find(web: Web, words: str, most: int = 10) -> list[Paper]:
    """What arXiv's own search finds, best first: titles and abstracts. Raises LibraryError."""
    terms = re.findall(r"\w+", words)
    if not terms:
        raise LibraryError("say in words what to look for")
    query = " AND ".join(f"all:{term}" for term in terms)
    return list(_ask(web, search_query=query, max_results=str(most), sortBy="relevance"))


def _base(variable: str, default: str) -> str:
    return (os.environ.get(variable) or default).rstrip("/")


def _ask(web: Web, **query: str) -> Iterator[Paper]:
    base = _base("ARXIV_BASE_URL", ARXIV)
    feed = web.page(f"{base}/api/query?{urlencode(query)}", lambda text: _feed(text) is not None, PAUSE_S)
    root = _feed(feed or "")
    if root is None:
        raise LibraryError(f"{base} answered with something that is no Atom feed")
    for entry in root.iterfind("entry", _NAMES):
        address = _text(entry, "id")
        if "/api/errors" in address:
            raise LibraryError(f"arXiv does not understand the question: {_text(entry, 'summary')}")
        if name := identifier(address):
            yield _paper(entry, name)


def _feed(text: str) -> ElementTree.Element | None:
    """The root of an Atom feed, None for anything else. A feed declares no types: what does is not parsed."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    return root if root.tag == f"{{{_NAMES['']}}}feed" else None


def _paper(entry: ElementTree.Element, name: Identifier) -> Paper:
    abstract, comment = _text(entry, "summary"), _text(entry, "arxiv:comment")
    licence = next((link.get("href") for link in entry.iterfind("link", _NAMES) if link.get("rel") == "license"), None)
    published = _text(entry, "published")[:4]
    return Paper(
        name,
        _text(entry, "title") or str(name),
        abstract,
        int(published) if published.isdigit() else _year(name),
        tuple(term for one in entry.iterfind("category", _NAMES) if (term := one.get("term"))),
        licence or _text(entry, "rights") or None,
        bool(_WITHDRAWN.search(comment) or _WITHDRAWN.search(abstract[:100])),
        source=f"https://arxiv.org/abs/{name}",
    )


def _text(entry: ElementTree.Element, tag: str) -> str:
    return " ".join((entry.findtext(tag, "", _NAMES) or "").split())


def _heading(text: str) -> str:
    found = re.search(r"^#\s+(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _year(name: Identifier) -> int:
    """The year that an identifier begins with: 1991 to 2007 in the old style, later ones in the new."""
    two = int(name.name.split("/")[-1][:2])
    return 1900 + two if two > 90 else 2000 + two
