"""Curves drawn with characters."""

from agent.chart import chart

FALLS = ((1, 7.0), (10, 4.0))
ABOVE = ((1, 7.0), (10, 6.0))
STAIRS = ((1, 2.0), (6, 2.0), (6, 1.0), (10, 1.0))


def lines(*curves: tuple[tuple[int, float], ...], width: int = 17, height: int = 3, plain: bool = True) -> list[str]:
    return [line.plain for line in chart(curves, width, height, plain=plain)]


def test_a_curve_goes_from_corner_to_corner_with_its_scale_at_the_left() -> None:
    assert lines(FALLS) == ["7.0000 ***       ", "          ****   ", "4.0000        ***"]


def test_the_second_curve_is_dashed_and_both_have_one_scale() -> None:
    assert lines(FALLS, ABOVE) == ["7.0000 *** ..    ", "          **** ..", "4.0000        ***"]


def test_a_step_is_a_step() -> None:
    assert lines(STAIRS, width=19, height=4) == [
        "2.0000 *******     ",
        "              *    ",
        "              *    ",
        "1.0000        *****",
    ]


def test_with_dots_there_are_eight_places_in_a_character() -> None:
    first, _, last = lines(FALLS, plain=False)
    assert first.startswith("7.0000 ⠑") and last.endswith("⢄")
    assert set(first[7:] + last[7:]) <= {chr(0x2800 + bits) for bits in range(256)} | {" "}


def test_what_cannot_be_drawn_is_no_line() -> None:
    assert lines() == []
    assert lines(FALLS, width=7) == []
    assert lines(((3, 2.5),))[1].strip() == "*"
