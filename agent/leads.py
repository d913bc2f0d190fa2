"""Which note to try next: expected gain over cost, from what lanes and papers have brought here so far.

Both rates are shrunk, as a handful of trials says little: a lane's towards what is kept in general, a paper's towards
its lane's (the posterior mean of a Beta prior that is worth so many trials). Pure: notes, experiments and a tree in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from agent import edits, knobs, proposal
from agent.ideas import Idea
from agent.note import Note
from agent.past import Past
from agent.researchers import as_proposal
from agent.tree import Tree, syntax_key
from bench.errors import LibraryError, ProposalError

KEPT = 0.05
"""Of what is tried in general; the field's best-known night kept 23 of 126, half of it within its noise."""
LANE_TRIALS = 10.0
PAPER_TRIALS = 2.0
GAIN = 0.008
"""Bits per byte that a keep is worth where none is known: a little less than one run's noise."""
GAIN_TRIALS = 3.0
PARTLY = 0.5
"""Of a gain, where the champion has part of it already."""
WORDS_COST = 1.5
"""What an idea in words costs beside one that carries its edits: they have to be written, and fail more often."""

State = Literal["ready", "words", "partly", "conflicts", "tried", "contained"]
OPEN = ("ready", "words", "partly")


@dataclass(frozen=True)
class Lead:
    """A note as something to try."""

    note: Note
    state: State
    """`ready`: its edits fit the champion. `words`: they have to be written. `partly`: words, and the champion has some
    of it. `conflicts`: its edits no longer fit. `tried`: an experiment cited it. `contained`: the champion has it."""
    detail: str
    chance: float
    """Of being kept."""
    gain: float
    """Expected of a keep, in bits per byte."""
    cost: float
    """In average experiments."""

    @property
    def score(self) -> float:
        """Expected gain over cost, in thousandths of a bit per byte an experiment."""
        return 1000 * self.chance * self.gain / self.cost


def leads(notes: Sequence[Note], experiments: Sequence[Past], champion: Tree, size: str) -> list[Lead]:
    """Every note, what can be tried first, best first; then what was tried, conflicts, and what is there already."""
    experiments = [one for one in experiments if not one.elsewhere]
    lanes = {lane: [one for one in experiments if one.lane == lane] for lane in {one.lane for one in experiments}}
    found = [_lead(note, lanes.get(note.front.lane, []), experiments, champion, size) for note in notes]
    order = ("tried", "conflicts", "contained")
    return sorted(
        found,
        key=lambda one: (
            order.index(one.state) + 1 if one.state not in OPEN else 0,
            -one.score,
            one.state != "ready",
            one.note.name,
        ),
    )


def _lead(note: Note, lane: Sequence[Past], experiments: Sequence[Past], champion: Tree, size: str) -> Lead:
    cited = [one for one in experiments if note.cited_in(one.notes)]
    overall = _rate(experiments, KEPT, LANE_TRIALS)
    chance = _rate(cited, _rate(lane, overall, LANE_TRIALS), PAPER_TRIALS)
    gains = [-one.effect.mean for one in lane if one.kept and one.effect]
    gain = (sum(gains) + GAIN * GAIN_TRIALS) / (len(gains) + GAIN_TRIALS)
    times = [one.wall_s for one in experiments if one.wall_s]
    usual = fmean(times) if times else 1.0
    cost = (sum(one.wall_s for one in lane) + usual * LANE_TRIALS) / (len(lane) + LANE_TRIALS) / usual
    state, detail = _state(note, cited, champion, size)
    in_words = state in ("words", "partly")
    return Lead(
        note,
        state,
        detail,
        chance,
        gain * (PARTLY if state == "partly" else 1.0),
        cost * (WORDS_COST if in_words else 1.0),
    )


def _rate(experiments: Sequence[Past], prior: float, trials: float) -> float:
    return (sum(one.kept for one in experiments) + prior * trials) / (len(experiments) + trials)


def _state(note: Note, cited: Sequence[Past], champion: Tree, size: str) -> tuple[State, str]:
    try:
        idea = note.idea()
    except LibraryError as error:
        return "conflicts", str(error)
    if idea.runnable and contained(idea, champion, size):
        return "contained", "the champion has it already"
    if cited:
        return "tried", ", ".join(f"{one.id} {one.status}" for one in cited)
    if not idea.runnable:
        if note.front.shipped == "already":
            return "contained", "the trainer as shipped has it"
        partly = note.front.shipped == "partly"
        return ("partly", "the trainer as shipped has part of it") if partly else ("words", "has to be written")
    try:
        proposal.apply(as_proposal(idea), champion, size)
    except ProposalError as error:
        return "conflicts", str(error)
    return "ready", "fits the champion"


def contained(idea: Idea, champion: Tree, size: str) -> bool:
    """Whether the champion is what the idea would make of it: its knobs are in force, and its diff is in the files."""
    try:
        settings = knobs.read_knobs(champion[proposal.SETTINGS])
        if any(settings.in_force(name, size) != knobs.read_value(value)[0] for name, value in idea.knobs):
            return False
        if idea.diff is None:
            return True
        back = [edits.Edit(edit.path, edit.new, edit.old, edit.whole_lines) for edit in edits.parse_diff(idea.diff)]
        return syntax_key(edits.apply(champion, back)) != syntax_key(champion)
    except (ProposalError, KeyError):
        return False
