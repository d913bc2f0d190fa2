"""An edit: exact, unique, atomic replacement of text in a tree.

Edits come from a language model (old and new text), from a unified diff (`parse_diff`: each hunk is an edit, its line
numbers are ignored), or from turning others round (`invert`). Nothing is guessed: an edit that does not fit in exactly
one place is refused with the nearest lines, and then nothing at all has changed.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from agent.scope import TRAINER, Scope, within
from agent.tree import Tree, parse, unified
from bench.errors import ProposalError


@dataclass(frozen=True)
class Edit:
    """In `path`, `old` becomes `new`.

    An empty `old` creates the file; an edit that leaves a file empty removes it. With `whole_lines`, `old` fits only
    where it begins and ends a line, as the hunks of a diff mean it.
    """

    path: str
    old: str
    new: str
    whole_lines: bool = False


def apply(tree: Tree, edits: Sequence[Edit], scope: Scope = TRAINER) -> dict[str, bytes]:
    """Return `tree` with the edits made one after another; `tree` itself is left as it is.

    Raises ProposalError with the reason outside_trainer (outside_files in another scope), no_match, several_matches,
    file_exists, not_text, no_change or does_not_parse.
    """
    result = dict(tree)
    for edit in edits:
        _replace(result, edit, scope)
    if result == dict(tree):
        raise ProposalError("no_change", "the edits leave every file as it was")
    for path in sorted({edit.path for edit in edits if edit.path in result and edit.path.endswith(".py")}):
        try:
            parse(result[path])
        except SyntaxError as error:
            raise ProposalError("does_not_parse", f"{path} line {error.lineno or 1}: {error.msg}") from error
    return result


def invert(tree: Tree, edits: Sequence[Edit]) -> list[Edit]:
    """Return the edits that lead from `apply(tree, edits)` back to `tree`.

    Each holds whole lines, and as many of them as make it fit in one place only, so that it can also be tried on a
    later tree. Raises what `apply` raises, save no_change and does_not_parse.
    """
    current = dict(tree)
    inverse: list[Edit] = []
    for edit in edits:
        before = current.get(edit.path, b"")
        start = _replace(current, edit, TRAINER)
        after = current.get(edit.path, b"")
        first, last = start, start + len(edit.new.encode())
        while True:
            first = after.rfind(b"\n", 0, first) + 1
            last = after.find(b"\n", last) + 1 or len(after)
            text = after[first:last]
            if not after or (text and len(_places(after, text, whole_lines=True)) == 1):
                break
            first, last = max(0, first - 1), min(len(after), last)
        tail = len(after) - last
        original = before[first : len(before) - tail]
        inverse.append(Edit(edit.path, text.decode(), original.decode(), whole_lines=True))
    return inverse[::-1]


def take_back(tree: Tree, before: Tree, after: Tree) -> dict[str, bytes]:
    """Return `tree`, which came from `after` by later changes, without what led from `before` to `after`.

    Files that stand as `after` left them go back as they were; of the others each hunk is undone where it still fits.
    Raises what `apply` raises where later changes are in the way.
    """
    result = dict(tree)
    for path in sorted({*before, *after}):
        if before.get(path) == after.get(path):
            continue
        if tree.get(path) == after.get(path):
            if path in before:
                result[path] = before[path]
            else:
                del result[path]
        else:
            later, earlier = ({path: one[path]} if path in one else {} for one in (after, before))
            result = apply(result, parse_diff(unified(later, earlier)), (path,))
    return result


def _replace(tree: dict[str, bytes], edit: Edit, scope: Scope) -> int:
    """Make one edit in `tree`; return the byte offset where the new text begins."""
    _check_path(edit.path, scope)
    try:
        old, new = edit.old.encode(), edit.new.encode()
    except UnicodeEncodeError as error:
        raise ProposalError("not_text", f"{edit.path}: an edit holds half of a character pair") from error
    if not old:
        _check_free(tree, edit.path)
        start, result = 0, new
    else:
        start = _place(tree, edit, old)
        data = tree[edit.path]
        result = data[:start] + new + data[start + len(old) :]
    if result:
        tree[edit.path] = result
    else:
        tree.pop(edit.path, None)
    return start


def _check_path(path: str, scope: Scope) -> None:
    parts = path.split("/")
    plain = path.isprintable() and "\\" not in path and all(part not in ("", ".", "..") for part in parts)
    if plain and within(path, scope) and ".git" not in path.lower().split("/"):
        return
    if scope == TRAINER:
        raise ProposalError("outside_trainer", f"{path!r} is no file under trainer/, the only folder that may change")
    raise ProposalError("outside_files", f"{path!r} is none of what a proposal may change: {', '.join(scope)}")


def _check_free(tree: Tree, path: str) -> None:
    for taken in tree:
        if taken == path or taken.startswith(path + "/") or path.startswith(taken + "/"):
            raise ProposalError("file_exists", f"{path} cannot be created: {taken} is there; give the text to replace")


def _places(data: bytes, old: bytes, whole_lines: bool) -> list[int]:
    """Every byte offset where `old` fits, overlapping ones too: one of two overlapping places is no unique place."""
    places: list[int] = []
    start = data.find(old)
    while start >= 0:
        begins = start == 0 or data[start - 1 : start] == b"\n"
        ends = old.endswith(b"\n") or data[start + len(old) : start + len(old) + 1] in (b"", b"\n")
        if not whole_lines or (begins and ends):
            places.append(start)
        start = data.find(old, start + 1)
    return places


def _place(tree: Tree, edit: Edit, old: bytes) -> int:
    if edit.path not in tree:
        near = difflib.get_close_matches(edit.path, tree, n=1)
        raise ProposalError("no_match", f"there is no {edit.path}" + "".join(f"; nearest: {path}" for path in near))
    data = tree[edit.path]
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ProposalError("not_text", f"{edit.path} is not UTF-8 text, so no text can be replaced in it") from error
    places = _places(data, old, edit.whole_lines)
    if len(places) == 1:
        return places[0]
    if not places:
        raise ProposalError("no_match", f"{edit.path} holds no such text; {_nearest(text, edit.old)}")
    lines = [str(data.count(b"\n", 0, place) + 1) for place in places]
    where = f"{', '.join(lines[:-1])} and {lines[-1]}"
    raise ProposalError("several_matches", f"{edit.path} holds this text at lines {where}; add lines around it")


def _nearest(text: str, old: str) -> str:
    """Say, in one line, where the file comes nearest to `old` and how it differs there."""
    have = text.split("\n")
    want = old.removesuffix("\n").split("\n")
    bare_have, bare_want = [line.strip() for line in have], [line.strip() for line in want]
    block = difflib.SequenceMatcher(None, bare_have, bare_want, autojunk=False).find_longest_match()
    if block.size and any(bare_want[block.b : block.b + block.size]):
        start = block.a - block.b
    else:
        index = max(range(len(want)), key=lambda i: len(bare_want[i]))
        matcher = difflib.SequenceMatcher(None, b=bare_want[index], autojunk=False)

        def likeness(line: str) -> float:
            matcher.set_seq1(line)
            return matcher.ratio()

        start = max(range(len(have)), key=lambda i: likeness(bare_have[i])) - index
    found = have[max(0, start) : start + len(want)]
    if start >= 0 and len(found) == len(want):
        for number, (is_there, is_asked) in enumerate(zip(found, want, strict=True)):
            opens, closes = number == 0, number == len(want) - 1 and not old.endswith("\n")
            if opens and closes:
                fits = is_asked in is_there
            else:
                fits = is_there.endswith(is_asked) if opens else is_there == is_asked
                fits = fits or (closes and is_there.startswith(is_asked))
            if not fits:
                here = f"nearest is line {start + number + 1}, {_short(is_there)}"
                return f"{here}, where the edit has {_short(is_asked)}"
    return f"nearest is line {max(0, start) + 1}, {_short(' / '.join(found[:3]))}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:117] + "...")


def parse_diff(text: str) -> list[Edit]:
    """Read a unified diff: each hunk becomes the edit from its context and `-` lines to its context and `+` lines.

    Line numbers and counts are ignored. Files can be changed and created (`--- /dev/null`); a diff that deletes,
    renames or changes the mode of a file, or is binary, is refused. Raises ProposalError("bad_diff", "line N: ...").
    """
    lines = text.split("\n")
    edits: list[Edit] = []
    path, creates = "", False
    at = 0
    while at < len(lines):
        line = lines[at]
        if _opens_file(lines, at):
            path, creates = _read_paths(lines, at)
            at += 2
        elif line.startswith("@@"):
            if not path:
                raise _bad_diff(at, "a hunk before any '--- a/trainer/...' and '+++ b/trainer/...' lines")
            end = next((i for i in range(at + 1, len(lines)) if _ends_hunk(lines, i)), len(lines))
            edits.append(_read_hunk(lines, at, end, path, creates))
            at = end
        elif not line.strip() or line.startswith(("diff ", "index ", "new file mode ")):
            at += 1
        else:
            raise _bad_diff(at, f"{_short(line)} is no part of a diff that changes or creates a file")
    if not edits:
        raise _bad_diff(0, "there is no hunk ('@@ ... @@') in this diff")
    return edits


def _bad_diff(index: int, what: str) -> ProposalError:
    return ProposalError("bad_diff", f"line {index + 1}: {what}")


def _opens_file(lines: list[str], at: int) -> bool:
    return lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def _ends_hunk(lines: list[str], at: int) -> bool:
    return lines[at].startswith(("@@", "diff --git ")) or _opens_file(lines, at)


def _read_paths(lines: list[str], at: int) -> tuple[str, bool]:
    """Return the path of a file header and whether the file is new."""
    names = [lines[at + i][4:].split("\t")[0].strip() for i in (0, 1)]
    source, target = names[0].removeprefix("a/"), names[1].removeprefix("b/")
    if target == "/dev/null":
        raise _bad_diff(at + 1, f"deleting a file ({source}) is not something a diff may do here")
    if source not in ("/dev/null", target):
        raise _bad_diff(at, f"renaming a file ({source} to {target}) is not something a diff may do here")
    return target, source == "/dev/null"


def _read_hunk(lines: list[str], first: int, end: int, path: str, creates: bool) -> Edit:
    while end > first + 1 and not lines[end - 1]:
        end -= 1  # blank lines between hunks; a blank line of context at the very end is no loss
    old: list[str] = []
    new: list[str] = []
    sides: tuple[list[str], ...] = ()
    for at in range(first + 1, end):
        mark, body = lines[at][:1] or " ", lines[at][1:]  # many an editor strips a blank context line of its one space
        if mark == "\\" and sides:
            for side in sides:
                side[-1] = side[-1].removesuffix("\n")
            continue
        if mark not in " -+":
            raise _bad_diff(at, f"a line of a hunk begins with a space, '-' or '+', not {_short(lines[at])}")
        sides = {" ": (old, new), "-": (old,), "+": (new,)}[mark]
        for side in sides:
            side.append(body + "\n")
    if old == new:
        raise _bad_diff(first, "this hunk changes nothing")
    if creates and old:
        raise _bad_diff(first, f"{path} is new here (--- /dev/null), so its hunk can hold '+' lines only")
    if not creates and not old:
        raise _bad_diff(first, "this hunk has no context and no '-' lines, so nothing says where it goes")
    return Edit(path, "".join(old), "".join(new), whole_lines=True)
