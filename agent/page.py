"""The morning report as a page: one self-contained HTML file that asks nothing of any network.

`page/` holds its parts. What a language model may have written goes in compressed, as data, and the page puts it on
screen as text alone; what runs or styles it is bound to the file by the hashes of its Content-Security-Policy.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from agent.markdown import as_markdown

FOLDER = Path(__file__).with_name("page")
UPLOT = "uplot-1.6.32.min"
STYLES = (f"{UPLOT}.css", "page.css")
SCRIPTS = ("dom.js", "charts.js", "details.js", "table.js", "sections.js", "page.js")
DIGITS = 7
"""Decimals of a number in the page, whose smallest unit of interest is a millionth of a bit."""


def render(morning: Mapping[str, Any], *, live: bool = False, token: str = "") -> str:
    """The page of a night, from what `agent.morning` tells of it.

    A `live` one may speak to the server that it came from, to which `token` makes it known.
    """
    sheets, parts = ((*STYLES, "live.css"), (*SCRIPTS, "live.js")) if live else (STYLES, SCRIPTS)
    styles = [_text(name) for name in sheets]
    scripts = [_text(f"{UPLOT}.js"), _scoped(parts)]
    return Template(_text("page.html")).substitute(
        policy=_policy(styles, scripts, "'self'" if live else "'none'"),
        title=escape(f"Night {morning['night']['name']}: {morning['headline']['title']}"),
        token=escape(token),
        summary=escape(as_markdown(morning)),
        styles="\n".join(f"<style>{one}</style>" for one in styles),
        scripts="\n".join(f"<script>{one}</script>" for one in scripts),
        data=pack(morning),
    )


def pack(morning: Mapping[str, Any]) -> str:
    """A night as the page unpacks it: JSON, deflated, in base64."""
    text = json.dumps(_rounded(morning), allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _rounded(word: Any) -> Any:  # noqa: ANN401  # whatever JSON holds
    if isinstance(word, float):
        return round(word, DIGITS)
    if isinstance(word, Mapping):
        return {key: _rounded(value) for key, value in word.items()}
    return [_rounded(one) for one in word] if isinstance(word, (list, tuple)) else word


def _policy(styles: Sequence[str], scripts: Sequence[str], connect: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data:",
            f"connect-src {connect}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _scoped(names: Sequence[str]) -> str:
    """Scripts that share one scope, which no other sees."""
    return "\n".join(('"use strict";', "{", *map(_text, names), "}"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8").strip()
