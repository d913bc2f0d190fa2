"""What is wrong with the knowledge base, in one line each that names the file and what to do."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from agent import library, outcome
from agent.ideas import slug_of
from agent.knobs import read_knobs
from agent.library import CHRONOLOGY, KB, PAPERS, text_of
from agent.note import CHANGE, HAPPENED, Note, without_code
from agent.past import Past
from agent.proposal import SETTINGS
from bench.errors import LibraryError, ProposalError

_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^()\s]+)\)")
_EXPERIMENT = re.compile(r"`([A-Za-z0-9][A-Za-z0-9_-]*-\d{4})`")


def problems(root: Path, finished: Sequence[Past]) -> list[str]:
    """Everything that is wrong below `kb/`, given the experiments of the committed history."""
    notes, unread = library.read_notes(root)
    ids = {one.id for one in finished}
    found = [f"{PAPERS}/{problem}" for problem in unread]
    found += _duplicates(notes)
    for note in notes:
        found += [f"{PAPERS}/{note.name}.md: {what}" for what in _of_note(root, note, finished)]
    for path in sorted((root / KB).rglob("*.md")):
        found += [f"{path.relative_to(root)}: {what}" for what in _of_page(root, path, ids)]
    page = root / CHRONOLOGY
    if not page.exists() or text_of(page) != library.chronology(root, finished):
        found.append(f"{CHRONOLOGY} is not what the committed history says: type `nightshift chronicle`")
    return found


def _duplicates(notes: Sequence[Note]) -> Iterator[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for note in notes:
        names[note.front.arxiv or str(note.front.url)].append(f"{note.name}.md")
    for key, files in names.items():
        if len(files) > 1:
            yield f"{PAPERS}: {key} has {len(files)} notes, {' and '.join(files)}; keep one"


def _of_note(root: Path, note: Note, finished: Sequence[Past]) -> Iterator[str]:
    if not note.sections.get(CHANGE):
        yield f"no '## {CHANGE}': say which function or knob this would change"
    try:
        names = [name for name, _ in note.idea().knobs]
        if names:
            known = read_knobs((root / SETTINGS).read_bytes()).defaults
            for name in names:
                if name not in known:
                    yield f"there is no knob {name} in {SETTINGS}"
    except (LibraryError, ProposalError, OSError) as error:
        yield str(error)
    if note.sections.get(HAPPENED, "") != outcome.happened(note, finished):
        yield f"'## {HAPPENED}' is not what the committed history says; `nightshift finish` writes it"


def _of_page(root: Path, path: Path, ids: Collection[str]) -> Iterator[str]:
    text = without_code(text_of(path))
    for target in dict.fromkeys(_LINK.findall(text)):
        name, _, anchor = target.partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", name):
            continue
        page = (path.parent / name).resolve() if name else path
        if not page.exists() or not page.is_relative_to(root.resolve()):
            yield f"the link {target} leads nowhere"
        elif anchor and page.suffix == ".md" and anchor not in _anchors(page):
            yield f"the link {target}: {page.name} has no heading of that name"
    for one in dict.fromkeys(_EXPERIMENT.findall(text)):
        if one not in ids and path.relative_to(root) != CHRONOLOGY:
            yield f"cites the experiment {one}, which is not in the committed history"


def _anchors(page: Path) -> set[str]:
    return {slug_of(heading) for heading in re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)}
