"""Curves as a few lines of characters: braille dots, or ASCII where those cannot be shown. Pure."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby

from rich.text import Text

from agent.curves import Curve

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character, by row and column."""
BLANK = 0x2800
MARKS = ("*", ".")
"""In ASCII."""
STYLES = ("bold cyan", "")
"""Of the first curve, which covers the second, and of the second."""
DASH = 2
"""So many columns of dots are drawn of the second curve, and as many are not: no colour is needed to tell it."""


@lru_cache(maxsize=4)  # a picture that did not change is drawn again every second
def chart(curves: tuple[Curve, ...], width: int, height: int, *, plain: bool = False) -> tuple[Text, ...]:
    """One curve or two on one scale, whose ends stand at the left; no lines where there is no curve or no room.

    `plain` draws with the characters of ASCII.
    """
    values = [value for curve in curves for _, value in curve]
    if not values:
        return ()
    labels = [f"{max(values):.4f} ", *[""] * (height - 2), f"{min(values):.4f} "]
    margin = max(map(len, labels))
    if width <= margin:
        return ()
    across, down = (1, 1) if plain else (2, 4)
    cells: dict[tuple[int, int], list[int]] = {}
    for number, curve in enumerate(curves):
        for column, row in _dots(curve, curves, (width - margin) * across, height * down):
            if not number or column // DASH % 2 == 0:
                bits = cells.setdefault((row // down, column // across), [0, 0])
                bits[number] |= DOTS[row % down][column % across]
    lines = enumerate(label.rjust(margin) for label in labels)
    return tuple(_line(label, row, width - margin, cells, plain=plain) for row, label in lines)


def _dots(curve: Curve, curves: Sequence[Curve], wide: int, high: int) -> Iterator[tuple[int, int]]:
    """Column and row of each dot of a curve, straight from point to point, on the scale of all."""
    steps = [step for one in curves for step, _ in one]
    values = [value for one in curves for _, value in one]
    first, last, low, top = min(steps), max(steps), min(values), max(values)
    before: int | None = None
    for column in range(wide if last > first else 1):
        at = first + (last - first) * column / max(wide - 1, 1)
        if not curve or not curve[0][0] <= at <= curve[-1][0]:
            continue
        row = round((high - 1) * ((top - _value(curve, at)) / (top - low) if top > low else 0.5))
        before = row if before is None else before
        for gap in range(min(before, row) + 1, max(before, row)):
            yield column, gap
        yield column, row
        before = row


def _value(curve: Curve, at: float) -> float:
    right = bisect_right(curve, at, key=lambda point: point[0])
    step, value = curve[right - 1]
    if right == len(curve):
        return value
    further, end = curve[right]
    return value + (end - value) * (at - step) / (further - step)


def _line(label: str, row: int, wide: int, cells: dict[tuple[int, int], list[int]], *, plain: bool) -> Text:
    line = Text.assemble((label, "dim"))
    bits = [cells.get((row, column), [0, 0]) for column in range(wide)]
    for number, group in groupby(bits, key=lambda cell: 0 if cell[0] else 1):
        marks = ((MARKS[number] if plain else chr(BLANK | cell[0] | cell[1])) if any(cell) else " " for cell in group)
        line.append("".join(marks), STYLES[number])
    return line
