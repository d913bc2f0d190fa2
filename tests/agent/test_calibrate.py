"""`nightshift calibrate`, on the fast fake trainer: real processes, and a night that rests on what was learnt."""

from pathlib import Path

from agent import calibrate
from agent.experience import read
from bench.data import Dataset
from tests.agent.test_night import nightshift
from tests.fakes import make_repo

IDEAS = "## Better quality\n\nlane: quality\n\n```knobs\nQUALITY = 0.9\n```\n"


def measured(repo: Path) -> int:
    return (repo / ".git" / "nightshift" / calibrate.JOURNAL).read_text().count('"type":"measured"')


def test_a_calibration_is_learnt_from_once_and_the_next_night_rests_on_it(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    opened = nightshift(repo, "run", "--short", "--name", "before", "--max-experiments", "1").stdout
    assert "provisional: `nightshift calibrate`" in opened

    said = nightshift(repo, "calibrate", "--short", "--seeds", "4").stdout
    assert "short-confirm: one run varies by" in said
    assert "1 changes measured at both" in said
    (found,) = read(repo / ".git" / "nightshift" / "experience.json")
    assert [change.name for change in found.changes] == ["better-quality"]
    count = measured(repo)
    nightshift(repo, "calibrate", "--short", "--seeds", "4")
    assert measured(repo) == count == 2 * 2 * calibrate.SEEDS_A_CHANGE

    opened = nightshift(repo, "run", "--short", "--name", "after", "--max-experiments", "1").stdout
    assert "as 1 changes showed on" in opened
    assert "provisional" not in opened
