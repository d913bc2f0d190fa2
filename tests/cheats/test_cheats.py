"""Every cheat of the corpus is refused under its own name, and every honest twin passes: on the real bench.

Here stand all that are refused by their text, and one of each kind that has to run. `make cheats` runs them all.
"""

from pathlib import Path

import pytest

from bench import sandbox
from bench.data import Dataset
from bench.errors import ProposalError
from scripts.mutate_defences import MUTATIONS, ROOT
from tests.cheats import corpus
from tests.cheats.corpus import Entry
from tests.cheats.trial import SEEDS, budget, candidate, run, shipped, trial

BEFORE_ANY_RUN = frozenset(
    {
        "bad_diff",
        "diff_too_large",
        "fixed_seed",
        "forbidden_call",
        "forbidden_import",
        "long_literal",
        "not_a_trainer_file",
        "not_text",
        "outside_trainer",
    }
)
IN_EVERY_TEST_RUN = (
    "answer/val-beside-the-shards",
    "claims/stops-early",
    "escape/note-in-the-home-folder",
    "outputs/top-tokens-only",
    "peeking/second-half-only",
    "seeds/seed-scaled-away",
    "size/exact-weights-in-the-tree",
    "state/consistent-liar",
    "twins/look-ahead-mask",
    "claims/ignored-val-bpb",
    "peeking/honest-prefix-unigrams",
    "state/honest-row-by-row",
)

ENTRIES = corpus.entries()
STATIC = [entry for entry in ENTRIES if entry.reason in BEFORE_ANY_RUN]
OTHERS = [entry for entry in ENTRIES if entry.reason not in BEFORE_ANY_RUN]


def named(entries: list[Entry]) -> list[object]:
    """Parameters of a test; those that are not in every test run carry the mark `cheats`."""
    return [
        pytest.param(entry, id=entry.name, marks=() if entry.name in IN_EVERY_TEST_RUN else pytest.mark.cheats)
        for entry in entries
    ]


def skip_unless_contained(entry: Entry) -> None:
    if entry.needs_sandbox and sandbox.chosen().name == "none":
        pytest.skip("it would write to this machine")


@pytest.fixture(scope="module")
def shipped_bpb(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> float:
    """What the shipped trainer scores under the same budget."""
    return run(shipped(), budget(), SEEDS[0], small_data, tmp_path_factory.mktemp("shipped")).val_bpb


def test_there_are_forty_cheats_and_more_and_an_honest_twin_in_each_family() -> None:
    cheats, passing = corpus.cheats(), corpus.passing()
    assert len(cheats) >= 40
    assert {entry.family for entry in passing} == {entry.family for entry in cheats}
    assert len({entry.reason for entry in cheats}) >= 15


def test_no_two_diffs_are_the_same() -> None:
    assert len({entry.diff for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("entry", STATIC, ids=lambda entry: entry.name)
def test_what_its_text_shows_is_refused_before_any_run(entry: Entry) -> None:
    skip_unless_contained(entry)
    with pytest.raises(ProposalError) as refusal:
        candidate(entry)
    assert refusal.value.reason == entry.reason


@pytest.mark.parametrize("entry", named(OTHERS))
def test_nothing_else_is_refused_by_its_text(entry: Entry) -> None:
    assert candidate(entry) != shipped()


@pytest.mark.parametrize("entry", named([entry for entry in OTHERS if entry.reason]))
def test_a_cheat_that_runs_is_refused_under_its_own_name(entry: Entry, small_data: Dataset, tmp_path: Path) -> None:
    skip_unless_contained(entry)
    outcome = trial(entry, small_data, tmp_path)
    assert outcome.reason == entry.reason, outcome.detail


@pytest.mark.parametrize("entry", named(corpus.passing()))
def test_an_honest_edit_passes_and_an_idle_claim_gains_nothing(
    entry: Entry, small_data: Dataset, tmp_path: Path, shipped_bpb: float
) -> None:
    outcome = trial(entry, small_data, tmp_path)
    assert outcome.reason is None, outcome.detail
    if entry.same_score is not None:
        assert outcome.val_bpb == pytest.approx(shipped_bpb, rel=0, abs=entry.same_score)


def test_what_every_test_run_holds_comes_from_every_family_but_the_one_that_takes_six_runs_a_cheat() -> None:
    assert set(IN_EVERY_TEST_RUN) <= {entry.name for entry in OTHERS}
    assert {name.partition("/")[0] for name in IN_EVERY_TEST_RUN} >= {e.family for e in OTHERS if e.reason} - {"budget"}


def test_each_mutation_takes_out_what_is_there_once_and_some_cheat_names_its_defence() -> None:
    defences = {entry.defence for entry in corpus.cheats()}
    for one in MUTATIONS:
        assert one.defence in defences
        assert (ROOT / one.path).read_text().count(one.old) == 1, one
