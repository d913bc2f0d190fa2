"""Edits fit exactly once or change nothing; trees are told apart by bytes and by syntax."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.edits import Edit, apply, invert, parse_diff, take_back
from agent.tree import syntax_key, unified
from bench.errors import ProposalError
from bench.files import tree_key

MODEL = '''"""A model."""


def forward(x: float) -> float:
    """Twice, and one."""
    y = 2 * x
    return y + 1  # one


def backward(x: float) -> float:
    y = 2 * x
    return y
'''
TREE = {"trainer/model.py": MODEL.encode(), "trainer/data.py": b"A = 1\n"}


def refusal(*edits: Edit) -> tuple[str, str]:
    with pytest.raises(ProposalError) as caught:
        apply(TREE, edits)
    assert "\n" not in str(caught.value)
    return caught.value.reason, caught.value.detail


def refused_diff(text: str) -> str:
    with pytest.raises(ProposalError) as caught:
        parse_diff(text)
    assert caught.value.reason == "bad_diff"
    return caught.value.detail


def test_edits_are_made_one_after_another() -> None:
    first = Edit("trainer/data.py", "A = 1", "A = 2")
    second = Edit("trainer/data.py", "A = 2\n", "A = 2\nB = 3\n")
    assert apply(TREE, [first, second]) == {**TREE, "trainer/data.py": b"A = 2\nB = 3\n"}


def test_text_that_is_not_there_is_answered_with_the_nearest_line() -> None:
    reason, detail = refusal(Edit("trainer/model.py", "    return y + 2  # one", "    return y"))
    assert reason == "no_match"
    assert detail == (
        "trainer/model.py holds no such text; "
        "nearest is line 7, '    return y + 1  # one', where the edit has '    return y + 2  # one'"
    )


def test_a_difference_in_indentation_alone_is_shown_as_such() -> None:
    _, detail = refusal(Edit("trainer/model.py", "def backward(x: float) -> float:\n  y = 2 * x\n", "pass\n"))
    assert "nearest is line 11, '    y = 2 * x', where the edit has '  y = 2 * x'" in detail


def test_a_file_that_is_not_there_is_answered_with_the_nearest_name() -> None:
    assert refusal(Edit("trainer/modle.py", "a", "b")) == (
        "no_match",
        "there is no trainer/modle.py; nearest: trainer/model.py",
    )


def test_text_that_is_there_twice_is_refused_with_both_lines() -> None:
    assert refusal(Edit("trainer/model.py", "y = 2 * x", "y = 3 * x")) == (
        "several_matches",
        "trainer/model.py holds this text at lines 6 and 11; add lines around it",
    )


def test_places_that_overlap_are_several_too() -> None:
    with pytest.raises(ProposalError, match=r"several_matches: .* at lines 1 and 1"):
        apply({"trainer/a.txt": b"aaa"}, [Edit("trainer/a.txt", "aa", "b")])


@pytest.mark.parametrize(
    "path",
    [
        "bench/score.py",
        "trainer",
        "trainer/",
        "trainer/../bench/score.py",
        "../trainer/model.py",
        "/trainer/model.py",
        "trainer//model.py",
        "trainer/./model.py",
        "trainer\\model.py",
        "trainer/a\nb.py",
        "trainer/.git/hooks/x",
        "trainers/model.py",
        "",
    ],
)
def test_a_path_outside_the_trainer_is_refused(path: str) -> None:
    assert refusal(Edit(path, "", "x = 1\n"))[0] == "outside_trainer"


def test_what_does_not_compile_is_refused_by_line() -> None:
    assert refusal(Edit("trainer/data.py", "A = 1", "A = (1")) == (
        "does_not_parse",
        "trainer/data.py line 1: '(' was never closed",
    )
    assert refusal(Edit("trainer/data.py", "A = 1", "A = 1\nreturn A"))[1].startswith(
        "trainer/data.py line 2: 'return'"
    )
    assert refusal(Edit("trainer/data.py", "A", "A\0"))[0] == "does_not_parse"
    assert refusal(Edit("trainer/data.py", "1", "(" * 100_000))[0] == "does_not_parse"


def test_edits_that_come_to_nothing_are_refused() -> None:
    there, back = Edit("trainer/data.py", "1", "2"), Edit("trainer/data.py", "2", "1")
    for edits in ([], [there, back], [Edit("trainer/data.py", "1", "1")], [Edit("trainer/new.py", "", "")]):
        assert refusal(*edits)[0] == "no_change"


def test_an_edit_without_old_text_creates_a_file_but_never_replaces_one() -> None:
    assert apply(TREE, [Edit("trainer/sub/new.py", "", "B = 1\n")])["trainer/sub/new.py"] == b"B = 1\n"
    for path in ("trainer/model.py", "trainer/model.py/new.py"):
        assert refusal(Edit(path, "", "B = 1\n"))[0] == "file_exists"


def test_an_edit_that_empties_a_file_removes_it() -> None:
    assert "trainer/data.py" not in apply(TREE, [Edit("trainer/data.py", "A = 1\n", "")])


def test_text_that_is_not_unicode_is_refused() -> None:
    assert refusal(Edit("trainer/data.py", "A", "\ud800"))[0] == "not_text"
    with pytest.raises(ProposalError, match=r"not_text: trainer/x.bin is not UTF-8"):
        apply({"trainer/x.bin": b"a\xff"}, [Edit("trainer/x.bin", "a", "b")])


def test_a_later_edit_that_fails_leaves_nothing_of_the_earlier_ones() -> None:
    before = dict(TREE)
    assert refusal(Edit("trainer/data.py", "1", "2"), Edit("trainer/data.py", "nowhere", "x"))[0] == "no_match"
    assert before == TREE


# Text over few letters, so that repeats, overlaps and empty lines are common. Not Python: apply compiles .py only.
words = st.text("ab\n", max_size=12)
trees = st.dictionaries(st.sampled_from(["trainer/a.txt", "trainer/b.txt"]), words.filter(bool), min_size=1)


@st.composite
def edits_that_fit(draw: st.DrawFn) -> tuple[dict[str, bytes], list[Edit]]:
    start = {path: text.encode() for path, text in draw(trees).items()}
    tree, edits = dict(start), list[Edit]()
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(["trainer/a.txt", "trainer/b.txt"]))
        text = tree.get(path, b"").decode()
        first, last = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        edit = Edit(path, text[first:last], draw(words))
        try:
            tree = apply(tree, [edit])
        except ProposalError:
            assume(False)
        edits.append(edit)
    assume(tree != start)
    return start, edits


@given(edits_that_fit())
def test_edits_and_then_their_inverse_give_the_tree_back(case: tuple[dict[str, bytes], list[Edit]]) -> None:
    tree, edits = case
    assert apply(apply(tree, edits), invert(tree, edits)) == tree


@given(edits_that_fit())
def test_only_the_named_files_change(case: tuple[dict[str, bytes], list[Edit]]) -> None:
    tree, edits = case
    result = apply(tree, edits)
    changed = {path for path in tree.keys() | result.keys() if tree.get(path) != result.get(path)}
    assert changed <= {edit.path for edit in edits}


@given(words.filter(bool), words.filter(bool), words)
def test_an_edit_that_does_not_fit_exactly_once_changes_nothing(text: str, old: str, new: str) -> None:
    tree = {"trainer/a.txt": text.encode()}
    count = len(re.findall(f"(?={re.escape(old)})", text))
    assume(old != new)
    if count == 1:
        assert apply(tree, [Edit("trainer/a.txt", old, new)]).get("trainer/a.txt", b"").decode() == text.replace(
            old, new
        )
        return
    with pytest.raises(ProposalError) as caught:
        apply(tree, [Edit("trainer/a.txt", old, new)])
    assert caught.value.reason == ("several_matches" if count else "no_match")
    assert tree == {"trainer/a.txt": text.encode()}


def test_an_inverse_still_fits_after_something_else_changed() -> None:
    edits = [Edit("trainer/model.py", "    return y + 1  # one\n", "")]
    inverse = invert(TREE, edits)
    later = apply(apply(TREE, edits), [Edit("trainer/model.py", '"""A model."""', '"""The model."""')])
    assert apply(later, inverse)["trainer/model.py"] == MODEL.replace("A model", "The model").encode()


DIFF = """\
diff --git a/trainer/model.py b/trainer/model.py
index 1234567..89abcde 100644
--- a/trainer/model.py
+++ b/trainer/model.py
@@ -900,3 +77,4 @@ def nothing of the sort
 def backward(x: float) -> float:
     y = 2 * x
-    return y
+    z = y
+    return z

--- /dev/null
+++ b/trainer/new.py
@@ -0,0 +1,2 @@
+A = 1
+B = 2
\\ No newline at end of file
"""


def test_the_hunks_of_a_diff_fit_by_their_text_whatever_their_numbers() -> None:
    result = apply(TREE, parse_diff(DIFF))
    assert result["trainer/model.py"].endswith(b"    y = 2 * x\n    z = y\n    return z\n")
    assert result["trainer/new.py"] == b"A = 1\nB = 2"


def test_a_blank_context_line_without_its_space_still_counts() -> None:
    diff = (
        "--- a/trainer/model.py\n+++ b/trainer/model.py\n@@\n-    return y + 1  # one\n+    return y\n\n\n def backward"
    )
    with pytest.raises(ProposalError, match="no_match"):
        apply(TREE, parse_diff(diff))
    diff += "(x: float) -> float:\n"
    assert b"return y\n\n\ndef backward" in apply(TREE, parse_diff(diff))["trainer/model.py"]


def test_a_hunk_fits_whole_lines_only() -> None:
    tree = {"trainer/data.py": b"MUON_A = 1\n"}
    diff = "--- a/trainer/data.py\n+++ b/trainer/data.py\n@@ -1 +1 @@\n-A = 1\n+A = 2\n"
    with pytest.raises(ProposalError, match="no_match"):
        apply(tree, parse_diff(diff))
    assert apply(TREE, parse_diff(diff))["trainer/data.py"] == b"A = 2\n"


def test_lines_that_look_like_headers_can_be_removed() -> None:
    tree = {"trainer/notes.sql": b"-- a\n-- b\n"}
    diff = "--- a/trainer/notes.sql\n+++ b/trainer/notes.sql\n@@ -1,2 +1 @@\n -- a\n--- b\n"
    assert apply(tree, parse_diff(diff)) == {"trainer/notes.sql": b"-- a\n"}


HEAD = "--- a/trainer/model.py\n+++ b/trainer/model.py\n"


@pytest.mark.parametrize(
    ("diff", "says"),
    [
        ("", "line 1: there is no hunk"),
        ("just words\n", "line 1: 'just words' is no part of a diff"),
        (HEAD, "line 1: there is no hunk"),
        ("@@ -1 +1 @@\n-a\n+b\n", "line 1: a hunk before any"),
        (HEAD + "@@ -1 +1 @@\n-a\n+b\n*c\n", "line 6: a line of a hunk begins with"),
        (HEAD + "@@ -1 +1 @@\n a\n", "line 3: this hunk changes nothing"),
        (HEAD + "@@ -1 +1 @@\n+a\n", "line 3: this hunk has no context"),
        ("--- a/trainer/a.py\n@@ -1 +1 @@\n-a\n+b\n", "line 1: '--- a/trainer/a.py' is no part"),
        ("--- a/trainer/a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", "line 2: deleting a file (trainer/a.py)"),
        ("--- a/trainer/a.py\n+++ b/trainer/b.py\n@@ -1 +1 @@\n-a\n+b\n", "line 1: renaming a file"),
        ("--- /dev/null\n+++ b/trainer/b.py\n@@ -1 +1 @@\n a\n+b\n", "line 3: trainer/b.py is new here"),
        ("rename from trainer/a.py\n", "line 1: 'rename from trainer/a.py'"),
        ("old mode 100644\n", "line 1: 'old mode 100644'"),
        ("Binary files a/trainer/x and b/trainer/x differ\n", "line 1: 'Binary files"),
    ],
)
def test_a_malformed_diff_is_refused_by_line(diff: str, says: str) -> None:
    assert refused_diff(diff).startswith(says)


def test_equal_trees_have_equal_keys_and_others_do_not() -> None:
    assert tree_key(TREE) == tree_key(dict(reversed(TREE.items())))
    others = [
        {**TREE, "trainer/data.py": b"A = 1 \n"},
        {**TREE, "trainer/new.py": b""},
        {"trainer/data.py": TREE["trainer/data.py"]},
        {"trainer/a": b"x", "trainer/b": b"y"},
        {"trainer/a": b"xtrainer/b\0y"},
    ]
    assert len({tree_key(tree) for tree in [TREE, *others]}) == 1 + len(others)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # one", ""),
        ("    y = 2 * x\n    return y + 1", "    y = (2\n        * x)\n\n    return y+1"),
        ('    """Twice, and one."""\n', ""),
        ('"""A model."""', '"""Another account of it."""'),
    ],
)
def test_comments_layout_and_docstrings_do_not_make_another_program(old: str, new: str) -> None:
    other = {**TREE, "trainer/model.py": MODEL.replace(old, new).encode()}
    assert tree_key(other) != tree_key(TREE)
    assert syntax_key(other) == syntax_key(TREE)


def test_code_and_other_files_make_another_program() -> None:
    changed = [
        {**TREE, "trainer/model.py": MODEL.replace("y + 1", "y + 2").encode()},
        {**TREE, "trainer/model.py": MODEL.replace("y + 1", "'y + 1'").encode()},
        {**TREE, "trainer/table.txt": b"1"},
        {**TREE, "trainer/table.txt": b"1 "},
        {**TREE, "trainer/data.py": b"does not parse"},
    ]
    assert len({syntax_key(tree) for tree in [TREE, *changed]}) == 1 + len(changed)


def test_git_takes_the_unified_diff_of_two_trees(tmp_path: Path) -> None:
    old = {
        "trainer/model.py": MODEL.encode(),
        "trainer/gone.py": b"A = 1\n",
        "trainer/empty.py": b"",
        "trainer/tail.txt": b"no newline",
        "trainer/feed.txt": "one\x0ctwo\u2028three\n".encode(),
    }
    new = {
        "trainer/model.py": MODEL.replace("2 * x", "3 * x").replace("\n\n\n", "\n\n").encode(),
        "trainer/new.py": b"B = 1",
        "trainer/blank.py": b"",
        "trainer/tail.txt": b"no newline still",
        "trainer/feed.txt": "one\x0ctwo\u2028four\n".encode(),
    }
    for path, data in old.items():
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=unified(old, new).encode(), check=True)
    assert {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.*")} == new


def test_a_unified_diff_read_back_makes_the_same_tree() -> None:
    new = {**TREE, "trainer/model.py": MODEL.replace("y + 1", "y + 2").encode(), "trainer/new.py": b"B = 1"}
    assert apply(TREE, parse_diff(unified(TREE, new))) == new


def test_equal_trees_have_no_diff_and_bytes_that_are_no_text_are_only_named() -> None:
    assert unified(TREE, dict(TREE)) == ""
    shown = unified(TREE, {**TREE, "trainer/x.bin": b"\xff"})
    assert shown.endswith("Binary files /dev/null and b/trainer/x.bin differ\n")


def test_a_change_is_taken_back_out_of_what_came_after_it() -> None:
    before = {"trainer/a.py": b"x = 1\ny = 1\nz = 1\n", "trainer/b.py": b"b = 1\n"}
    after = {"trainer/a.py": b"x = 2\ny = 1\nz = 1\n", "trainer/b.py": b"b = 1\n", "trainer/new.py": b"n = 1\n"}
    later = after | {"trainer/b.py": b"b = 2\n"}
    assert take_back(later, before, after) == {"trainer/a.py": before["trainer/a.py"], "trainer/b.py": b"b = 2\n"}
    further = after | {"trainer/a.py": b"x = 2\ny = 1\nz = 1\nw = 1\n"}
    assert take_back(further, before, after)["trainer/a.py"] == b"x = 1\ny = 1\nz = 1\nw = 1\n"


def test_a_change_that_later_ones_built_on_is_not_taken_back() -> None:
    before, after = {"trainer/a.py": b"x = 1\n"}, {"trainer/a.py": b"x = 2\n"}
    with pytest.raises(ProposalError):
        take_back({"trainer/a.py": b"x = 3\n"}, before, after)
