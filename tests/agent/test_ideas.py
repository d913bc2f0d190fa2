"""The queue is read by headings; an entry that does not read is named, and the rest still runs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.edits import apply, parse_diff
from agent.ideas import Idea, Problem, append_idea, next_ideas, parse_ideas, slug_of
from agent.knobs import read_knobs, set_knob
from bench.errors import UsageError

ROOT = Path(__file__).parents[2]
DIFF = "--- a/trainer/model.py\n+++ b/trainer/model.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"
QUEUE = f"""\
# Ideas

Words about the format.

````text
## Not an idea
```knobs
A = 1
```
````

## BETA2 0.97, a rung

What and why.

```knobs
BETA2 = 0.97  # a rung
NAMES = "c_k,c_v"
```

lane: optimizer
paper: 2505.08823v2, https://arxiv.org/abs/cs/0506001
priority: 1

## Extra norm ##
after: BETA2 0.97, a rung
```diff
{DIFF}```
# A section

Nobody's words.

## Think of something
Only words, with code:
```python
## no heading
lane: no lane
```
paper: https://example.org/post
"""


def problems_of(text: str) -> list[Problem]:
    return parse_ideas(text)[1]


def test_ideas_are_read_in_the_order_of_the_file() -> None:
    ideas, problems = parse_ideas(QUEUE)
    assert problems == []
    assert ideas == [
        Idea(
            slug="beta2-0-97-a-rung",
            title="BETA2 0.97, a rung",
            text="What and why.",
            knobs=(("BETA2", "0.97"), ("NAMES", '"c_k,c_v"')),
            papers=("2505.08823", "cs/0506001"),
            lane="optimizer",
            priority=1,
            line=12,
        ),
        Idea(slug="extra-norm", title="Extra norm", diff=DIFF, after=("beta2-0-97-a-rung",), line=25),
        Idea(
            slug="think-of-something",
            title="Think of something",
            text="Only words, with code:\n```python\n## no heading\nlane: no lane\n```",
            papers=("https://example.org/post",),
            line=38,
        ),
    ]


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    text = QUEUE[QUEUE.index("## BETA2") :]
    assert parse_ideas("\ufeff" + text.replace("\n", "\r\n")) == parse_ideas(text)


def test_an_idea_may_carry_both_knobs_and_a_diff() -> None:
    [idea], problems = parse_ideas(f"## Both\n```diff\n{DIFF}```\n```knobs\nA = 1\n```\n```knobs\nB = 2\n```\n")
    assert (idea.diff, idea.knobs, problems) == (DIFF, (("A", "1"), ("B", "2")), [])


@pytest.mark.parametrize(
    ("entry", "line", "says"),
    [
        ("##\nwords\n", 3, "a heading without a word"),
        ("## !?\nwords\n", 3, "a heading without a word"),
        ("## Bare\n\nlane: export\n", 3, "'Bare' has nothing under it"),
        ("## First\nwords\n", 3, "'First' repeats line 1"),
        ("## B\nwords\npriority: soon\n", 5, "priority: takes a whole number, not 'soon'"),
        ("## B\nwords\npriority: 1.5\n", 5, "priority: takes a whole number"),
        ("## B\nwords\nlane: a\nlane: b\n", 6, "lane: is given twice, on line 5 too"),
        ("## B\nwords\nlane:\n", 5, "lane: has no value"),
        ("## B\nwords\npaper: 12345\n", 5, "not '12345'"),
        ("## B\n```knobs\nBETA2: 0.9\n```\n", 5, "'BETA2: 0.9' is not a knob line"),
        ("## B\n```knobs\nBETA2 = c_k\n```\n", 5, "BETA2: 'c_k' is not a finite number"),
        ("## B\n```knobs\nA = 1\nA = 2\n```\n", 6, "A is set twice"),
        ("## B\n```knobs\n# none\n```\n", 4, "this knobs block is empty"),
        ("## B\n```diff\nwords\n```\n", 4, "this diff does not read: line 1: 'words'"),
        (f"## B\n```diff\n{DIFF}```\n```diff\n{DIFF}```\n", 11, "a second diff block"),
        ("## B\nwords\nafter: Frist\n", 3, "after: frist names no sound idea of this file; nearest: first"),
        ("## B\nwords\nafter: B\n", 3, "round in a circle"),
    ],
)
def test_a_malformed_entry_is_named_by_its_line_and_the_rest_still_runs(entry: str, line: int, says: str) -> None:
    ideas, [problem] = parse_ideas(f"## First\nwords\n{entry}\n## Last\nwords\n")
    assert [idea.title for idea in ideas] == ["First", "Last"]
    assert problem.line == line
    assert says in problem.text
    assert "\n" not in problem.text


def test_a_block_that_is_never_closed_swallows_no_idea_below_it() -> None:
    ideas, problems = parse_ideas("## A\n```knobs\nA = 1\n\n## B\n```knobs\nB = 1\n```\n\n## C\n```diff\nwords\n")
    assert [idea.title for idea in ideas] == ["B"]
    assert [problem.line for problem in problems] == [2, 11]
    assert all("never closed" in problem.text for problem in problems)


def test_every_idea_of_a_circle_and_behind_it_is_named() -> None:
    ideas, problems = parse_ideas("## A\nx\nafter: B\n## B\nx\nafter: A\n## C\nx\nafter: B\n## D\nx\n")
    assert [idea.title for idea in ideas] == ["D"]
    assert [(problem.line, "circle" in problem.text) for problem in problems] == [(1, True), (4, True), (7, False)]


def test_an_idea_waiting_for_one_that_does_not_read_is_named_too() -> None:
    ideas, problems = parse_ideas("## B\nx\nafter: A\n## A\nx\npriority: x\n## C\nx\n")
    assert [idea.title for idea in ideas] == ["C"]
    assert [problem.line for problem in problems] == [1, 6]


@given(st.text(st.sampled_from("#`~ \nakdiff:=1-+@"), max_size=80))
def test_no_text_whatever_stops_the_reader(text: str) -> None:
    ideas, problems = parse_ideas(text)
    slugs = [idea.slug for idea in ideas]
    assert len(slugs) == len(set(slugs))
    assert all(1 <= problem.line <= text.count("\n") + 1 for problem in problems)


def test_what_can_run_now_comes_by_priority_and_then_by_place() -> None:
    def idea(name: str, priority: int = 100, after: str = "", knobs: bool = True) -> str:
        block = "```knobs\nA = 1\n```\n" if knobs else ""
        return f"## {name}\nwords\n{block}priority: {priority}\n" + (f"after: {after}\n" if after else "")

    text = idea("a") + idea("b", 5) + idea("c") + idea("d", 1, "c") + idea("e", 1, knobs=False) + idea("f", -1, "e")
    ideas, problems = parse_ideas(text)
    assert problems == []
    assert [idea.slug for idea in next_ideas(ideas, set())] == ["b", "a", "c"]
    assert [idea.slug for idea in next_ideas(ideas, ["c", "b", "gone"])] == ["d", "a"]
    assert [idea.slug for idea in next_ideas(ideas, {"a", "b", "c", "d", "e"})] == ["f"]
    assert next_ideas(ideas, {idea.slug for idea in ideas}) == []


@pytest.mark.parametrize("text", ["", "words", "words\n", QUEUE, QUEUE + "\n", "## A\n```knobs\nA = 1\n"])
def test_an_added_idea_stands_at_the_end_of_what_was_there(text: str) -> None:
    longer = append_idea(
        text,
        " One more ",
        "Because.\n\nAnd so.",
        knobs=[("BETA2", "0.9"), ("NAMES", '"a"')],
        diff=DIFF,
        papers=["2505.08823", "2410.20672"],
        lane="papers",
        priority=7,
        after=["Extra norm"] if text.startswith(QUEUE) else [],
    )
    assert longer.startswith(text)
    *before, idea = parse_ideas(longer)[0]
    assert before == parse_ideas(text)[0]
    assert (idea.title, idea.text, idea.diff) == ("One more", "Because.\n\nAnd so.", DIFF)
    assert (idea.knobs, idea.papers) == ((("BETA2", "0.9"), ("NAMES", '"a"')), ("2505.08823", "2410.20672"))
    assert (idea.lane, idea.priority) == ("papers", 7)
    assert idea.after == (("extra-norm",) if text.startswith(QUEUE) else ())
    assert problems_of(longer) == problems_of(text)


@pytest.mark.parametrize(
    ("title", "body", "knobs", "says"),
    [
        ("", "words", [], "a heading without a word"),
        (" ?! ", "words", [], "a heading without a word"),
        ("extra NORM", "words", [], "repeats line 25"),
        ("New", "", [], "has nothing under it"),
        ("New", "", [("BETA2", "x")], "is not a finite number"),
        ("New", "words\n## More\nwords", [], "more than one idea"),
        ("New\n## More", "words", [], "nothing under it"),
        ("New", "words\n```knobs\n", [], "never closed"),
    ],
)
def test_an_idea_that_would_not_read_back_is_not_added(
    title: str, body: str, knobs: list[tuple[str, str]], says: str
) -> None:
    with pytest.raises(UsageError, match="cannot be added") as caught:
        append_idea(QUEUE, title, body, knobs=knobs)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_added_idea_can_be_the_one_that_another_waits_for() -> None:
    longer = append_idea("## B\nwords\nafter: A\n", "A", "words")
    ideas, problems = parse_ideas(longer)
    assert ([idea.title for idea in ideas], problems) == (["B", "A"], [])


def test_a_slug_is_the_slug_of_itself() -> None:
    assert slug_of("GRAD_CLIP_NORM 1.0") == slug_of("grad-clip-norm-1-0") == "grad-clip-norm-1-0"
    assert slug_of("Größe, 2×") == "größe-2"


SHIPPED, SHIPPED_PROBLEMS = parse_ideas((ROOT / "kb" / "ideas.md").read_text(encoding="utf-8"))


def test_the_shipped_queue_reads_without_a_problem_and_in_its_order() -> None:
    assert SHIPPED_PROBLEMS == []
    assert [idea.title for idea in SHIPPED] == [
        "GRAD_CLIP_NORM 1.0",
        "TIED_EMBED_LR 0.04",
        "SCALAR_LR 0.035",
        "BETA2 0.97",
        "BETA2 0.98",
        "BETA2 0.99",
        "BETA2 0.995",
        "Clip percentile 99.9",
        "Clip percentile 99.5",
        "KV projections in fp16",
        "Tied embeddings in fp16",
        "No export clipping",
        "Extra RMSNorm",
        "Shared depth",
        "Loop the middle block",
        "QAT in the last quarter",
        "QAT throughout",
        "EMA_DECAY 0.5",
        "EMA_DECAY 0.9",
        "Six bits",
        "Six bits but for the embedding",
        "Six bits with QAT",
    ]
    assert [idea.after for idea in SHIPPED[3:7]] == [(), ("beta2-0-97",), ("beta2-0-98",), ("beta2-0-99",)]
    assert all(idea.text and idea.runnable and idea.lane != "other" for idea in SHIPPED)


@pytest.mark.parametrize("idea", SHIPPED, ids=lambda idea: idea.slug)
@pytest.mark.parametrize("size", ["tiny", "small", "golf"])
def test_each_shipped_idea_fits_the_shipped_trainer(idea: Idea, size: str) -> None:
    tree = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in (ROOT / "trainer").glob("*.py")}
    changed = apply(tree, parse_diff(idea.diff)) if idea.diff else dict(tree)
    for name, value in idea.knobs:
        changed["trainer/settings.py"] = set_knob(changed["trainer/settings.py"], name, value, size)
    assert changed != tree
    assert read_knobs(changed["trainer/settings.py"]).sizes.keys() >= {"tiny", "small", "golf"}
