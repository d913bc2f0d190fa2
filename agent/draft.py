"""From what was fetched of a paper to a note: a stub that search finds, and the sections that Claude writes into it.

A paper's own words come in as one quoted line, cut short, and as a list of the words it uses most: whatever they say,
they are text in a note and nothing else.
"""

import re
from collections import Counter

from agent.alphaxiv import Paper
from agent.history import plain
from agent.index import STOP
from agent.note import SECTIONS, Front, Note, parts, without_code
from bench.errors import LibraryError

EXCERPT = 280
"""Characters quoted of an abstract."""
TERMS = 60
"""Words listed that a paper uses most."""
SLUG = 5
"""Words of a title in a file's name."""
ASKS = "Asks"


def stub(paper: Paper, day: str) -> Note:
    """The note of a paper as fetched on `day`, with the sections of the house still to be written."""
    front = Front(
        title=plain(paper.title),
        arxiv=paper.identifier.name,
        version=paper.identifier.version,
        year=paper.year,
        topics=tuple(map(plain, paper.categories)),
        source=paper.source,
        retrieved=day,
        licence=plain(paper.licence or f"as stated at https://arxiv.org/abs/{paper.identifier}"),
        withdrawn=paper.withdrawn,
    )
    text = paper.abstract or prose(paper.text)
    sections = {"In its own words": f"> {excerpt(text)}"} if text else {}
    if words := frequent(f"{paper.abstract}\n{paper.text}"):
        sections["Words it uses most"] = ", ".join(words)
    return Note(file_name(paper), front, sections)


def file_name(paper: Paper) -> str:
    """The identifier and the first words of the title."""
    title = paper.title.partition(":")[0]
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "-".join([paper.identifier.file_name, *words[:SLUG]])


def filled(note: Note, answer: str) -> Note:
    """The stub with the house's sections in the place of its own. Raises LibraryError where the answer lacks one."""
    told = {heading: text.strip() for heading, text in parts(answer)}
    absent = [heading for heading in (*SECTIONS, ASKS) if not told.get(heading)]
    if absent:
        raise LibraryError(f"the answer has no section {absent[0]!r}")
    asks = tuple(line.removeprefix("-").strip() for line in told[ASKS].splitlines() if line.startswith("-"))
    whole = Note(
        note.name,
        note.front.model_copy(update={"asks": tuple(map(plain, asks))}),
        {heading: told[heading] for heading in SECTIONS},
    )
    whole.idea()
    return whole


def excerpt(text: str) -> str:
    """The beginning of a text on one line, cut at a word."""
    line = plain(text)
    return line if len(line) <= EXCERPT else line[:EXCERPT].rsplit(" ", 1)[0] + " …"


def prose(text: str) -> str:
    """The first paragraph of a Markdown page that is neither heading, list, table, picture nor code."""
    paragraphs = re.split(r"\n\s*\n", without_code(text))
    return next((one for one in paragraphs if len(one.split()) > 8 and one.lstrip()[0] not in "#-*|!<>=0123456789"), "")


def frequent(text: str) -> list[str]:
    """The words that a text uses most often and more than once, oftenest first; equals by the alphabet."""
    counts = Counter(word for word in re.findall(r"[a-z][a-z-]{3,}", text.lower()) if word not in STOP)
    common = sorted((word for word in counts if counts[word] > 1), key=lambda word: (-counts[word], word))
    return common[:TERMS]
