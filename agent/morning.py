"""A night as one plain structure: all that the morning report is made of, for whatever shows it.

Differences are candidate minus champion in bits per byte, below zero is better; times are in seconds, moments in epoch
milliseconds, money in dollars; null stands for what was not measured. The keys, and where each figure comes from:

====================  ==================================================================================================
``night``             name, profiles, data, metric and delta (in words), machine, sandbox, slots, branch, base, segment,
                      began and last
``note``              what to say wherever numbers of short profiles stand, or null
``headline``          state (``audited``, ``not_audited``, ``nothing_kept``, ``nothing_decided``), title, words, command
``summary``           the lines of `report.summary`
``audit``             `audit.audited_as_json` with its verdict, or null
``transfers``         `audit.transferred_as_json` of each keep that was measured a size up
``false_keeps``       at_most, rate and weighed: how many keeps without effect are to be expected
``staircase``         `staircase.Flight` of each segment
``experiments``       a row of `views.log_as_json` each, with what `_details` adds
``curves``            steps and losses (nats a token) by name; a run of an experiment names its own under ``curve``
``proxy``             points (id, breadth, confirm) of the open segment, and their rank correlation or null
``time``, ``money``   `spend.Time` and `spend.Money`
``claude``            `report.calls_as_json`, or null
``lanes``, ``papers``  `rates.Rate`; a paper has title and url too
``not_kept``          status, reason, count and ids, the most frequent first
``simplifications``   id, description, fewer (lines of code), effect
``next``              what `leads.leads` would try first
====================  ==================================================================================================
"""

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agent import audit, history, leads, library, proxy, rates, report, spend, views
from agent.arxiv import identifier
from agent.branch import branch_of
from agent.curves import Curve, read_curve, thinned
from agent.git import Repo
from agent.journal import Journal, encode
from agent.leads import Lead
from agent.note import Note
from agent.opening import RUNS
from agent.past import Effect, Past, read_past
from agent.promotion import Point
from agent.records import Evidence, Experiment, Header, Reverted, Run
from agent.staircase import staircase
from agent.verdict import ERROR_RATE
from agent.yardstick import UNJUDGED
from bench import files
from bench.errors import NightshiftError, UsageError
from bench.profiles import profile
from bench.slots import folder_name

MOST_POINTS = 32
"""Of a loss curve."""
MOST_LEADS = 12
ARXIV = "https://arxiv.org/abs/"
AUDITED = {
    "holds": "The night’s gain holds",
    "not resolved": "The night’s gain is not resolved",
    "does not hold": "The night’s gain does not hold",
    "changes nothing": "The night’s keeps change nothing",
}
DRAFT_KEYS = ("model", "draft", "arm", "repairs", "usd")


def morning(repo: Repo, journal: Journal) -> dict[str, Any]:
    """The structure of that night, with loss curves from what run folders are still there, and what to try next."""
    notes, _ = library.read_notes(repo.root)
    runs = journal.path.parent / RUNS
    curves = {one.name: thinned(read_curve(one), MOST_POINTS) for one in runs.glob("*/")}
    trees, found = dict[str, str](), list[Lead]()
    with contextlib.suppress(NightshiftError):  # a commit that is gone, or one without a trainer, tells nothing
        taken_out = [one.sha for one in journal.records if isinstance(one, Reverted)]
        trees = {sha: files.tree_key(repo.trainer(sha)) for sha in taken_out}
        champion = repo.trainer(journal.champion or "HEAD")
        found = leads.leads(notes, library.experiments(repo), champion, profile("confirm").size)
    return tell(journal, curves, notes, found, trees)


def tell(
    journal: Journal,
    curves: Mapping[str, Curve] | None = None,
    notes: Sequence[Note] = (),
    found: Sequence[Lead] = (),
    trees: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The structure of a night that has begun: its journal, loss curves by the names of run folders, and leads.

    `trees` holds keys of trees by commit, where no experiment tells them. Pure.
    """
    header, experiments = journal.header, journal.experiments
    assert header is not None
    told = [one for one in journal.records if isinstance(one, history.TOLD)]
    past = {one.id: one for one in read_past(map(encode, told))}
    tried = [one for one in journal.in_segment() if one.source != "baseline"]
    papers = {key: note for note in notes for key in (note.name, note.front.url, note.key) if key}
    log: dict[str, Any] = views.log_as_json(journal)
    shown = {name: curve for name, curve in (curves or {}).items() if curve}
    known = {one.sha: one.tree for one in experiments if one.tree} | dict(trees or {})
    regained, transferred = journal.regained, journal.transferred
    details = [_details(one, regained.get(one.id), past.get(one.id), papers, known, shown) for one in experiments]
    named = {run["curve"] for one in details for run in one["runs"]}
    return {
        "night": _night(journal, header),
        "note": log["note"],
        "headline": _headline(journal, tried),
        "summary": report.summary(journal).plain.split("\n"),
        "audit": journal.audited and {**log["audit"], "verdict": audit.verdict(journal.audited.evidence)},
        "transfers": [
            audit.transferred_as_json(one, transferred[one.id]) for one in experiments if one.id in transferred
        ],
        "false_keeps": {
            "at_most": report.false_keeps(tried),
            "rate": ERROR_RATE,
            "weighed": sum(one.confirm is not None for one in tried),
        },
        "staircase": [asdict(flight) for flight in staircase(journal, past)],
        "experiments": [row | more for row, more in zip(log["experiments"], details, strict=True)],
        "curves": {
            name: {"steps": [step for step, _ in curve], "losses": [round(loss, 4) for _, loss in curve]}
            for name, curve in shown.items()
            if name in named
        },
        "proxy": _proxy(tried),
        "time": [asdict(one) for one in spend.device_time(journal.records)],
        "money": [asdict(one) for one in spend.money(journal.records)],
        "claude": log["claude"],
        "lanes": [asdict(one) for one in rates.by_lane(list(past.values()))],
        "papers": [{**asdict(one), **_cited(one.name, papers)} for one in rates.by_paper(list(past.values()))],
        "not_kept": _not_kept(experiments),
        "simplifications": [
            {"id": one.id, "description": one.description, "fewer": one.fewer, "effect": _effect(past[one.id].effect)}
            for one in report.simplifications(tried)
        ],
        "next": [_lead(one) for one in found if one.state in leads.OPEN][:MOST_LEADS],
    }


def _night(journal: Journal, header: Header) -> dict[str, Any]:
    here, experiments = header.fingerprint, journal.experiments
    return {
        "name": header.name,
        "profiles": header.profiles,
        "data": header.data,
        "metric": header.yardstick.called,
        "delta": header.yardstick.delta,
        "machine": here.processor
        if header.script
        else f"{here.processor}, MLX {here.mlx} on {here.device}, {here.blas}",
        "sandbox": header.sandbox,
        "slots": header.slots,
        "branch": branch_of(header.name).removeprefix("refs/heads/"),
        "base": header.base,
        "segment": journal.segment,
        "began": journal.headers[0].timestamp,
        "last": experiments[-1].timestamp if experiments else header.timestamp,
    }


def _headline(journal: Journal, tried: Sequence[Experiment]) -> dict[str, str]:
    """What a person reads first. A night that is not audited is not said to have gained anything."""
    reverted = journal.reverted
    standing = sum(one.status == "keep" and one.id not in reverted for one in tried)
    keeps = f"{standing} change{'s' * (standing != 1)} kept"
    if journal.audited:
        found = journal.audited
        return {
            "state": "audited",
            "title": AUDITED[audit.verdict(found.evidence)],
            "words": audit.audited_in_words(found),
            "command": "",
        }
    if standing and not journal.in_segment()[0].yardstick.judged:
        return {"state": "not_audited", "title": f"{keeps}, unjudged", "words": f"{UNJUDGED}.", "command": ""}
    if standing:
        return {
            "state": "not_audited",
            "title": f"{keeps}, not audited yet",
            "words": "What the night gained in all is not known: each keep was measured by itself. An audit measures"
            " the whole of it, on fresh seeds and on text that nothing else reads.",
            "command": f"nightshift audit --name {journal.path.parent.name}",
        }
    if tried:
        words = "The baseline is still the champion. Negative results are results: they are all below."
        return {"state": "nothing_kept", "title": "Nothing was kept", "words": words, "command": ""}
    return {"state": "nothing_decided", "title": "Nothing is decided yet", "words": "", "command": ""}


def _details(
    one: Experiment,
    regained: Evidence | None,
    past: Past | None,
    papers: Mapping[str, Note],
    trees: Mapping[str, str],
    curves: Mapping[str, Curve],
) -> dict[str, Any]:
    """What an experiment's row leaves out: why, its evidence pair by pair, its runs with their curves, and its cost."""
    whole: dict[str, Any] = views.experiment_as_json(one)
    drafted = one.authored
    return {
        "words": views.verdict_in_words(one),
        "effect": _effect(past.effect if past else None),
        "hypothesis": one.asi.get("hypothesis", ""),
        "expected": one.asi.get("expected_effect", "") or (drafted.expected if drafted else ""),
        "notes": [_cited(name, papers) for name in one.notes],
        "pairs": {"breadth": _pairs(one.breadth), "confirm": _pairs(one.confirm), "regained": _pairs(regained)},
        "runs": [
            {**run, "val_bpb": _own(one, made), "curve": _curve(one, made, trees, curves)}
            for run, made in zip(whole["runs"], one.runs, strict=True)
        ],
        "cpu_s": sum(run.cpu_s for run in one.runs if run.fresh),
        "authored": drafted and {key: whole["authored"][key] for key in DRAFT_KEYS},
        **{key: whole[key] for key in ("detail", "parent", "timestamp", "knobs", "patch", "note")},
    }


def _curve(one: Experiment, run: Run, trees: Mapping[str, str], curves: Mapping[str, Curve]) -> str | None:
    """The name of a run's loss curve, where there is one."""
    mine = run.role == "candidate" or one.source == "baseline"
    name = folder_name(one.tree if mine else trees.get(one.parent, ""), run.profile, run.seed)
    return name if name in curves else None


def _own(one: Experiment, run: Run) -> float | None:
    return None if run.val_bpb is None else one.yardstick.own(run.val_bpb)


def _pairs(found: Evidence | None) -> list[dict[str, Any]]:
    if found is None:
        return []
    own = found.yardstick.own
    return [
        {
            "seed": pair.seed,
            "champion": own(pair.champion),
            "candidate": own(pair.candidate),
            "difference": pair.difference,
        }
        for pair in found.pairs
    ]


def _effect(found: Effect | None) -> dict[str, Any] | None:
    return asdict(found) if found else None


def _cited(name: str, papers: Mapping[str, Note]) -> dict[str, Any]:
    """What an experiment cites, with the title and the address of the paper as far as they are known."""
    note, paper = papers.get(name), identifier(name)
    url = (note.front.url if note else None) or (f"{ARXIV}{paper.name}" if paper else name)
    return {
        "name": name,
        "title": note.front.title if note else name,
        "url": url if url.startswith(("https://", "http://")) else None,
    }


def _proxy(tried: Sequence[Experiment]) -> dict[str, Any]:
    both = [(one, one.breadth.mean, one.confirm.mean) for one in tried if one.breadth and one.confirm]
    points = [Point(breadth, confirm) for _, breadth, confirm in both]
    correlation = None
    if len(points) >= proxy.LEAST:
        with contextlib.suppress(UsageError):  # all alike: nothing is ranked
            correlation = asdict(proxy.correlate(points))
    return {
        "points": [{"id": one.id, "breadth": breadth, "confirm": confirm} for one, breadth, confirm in both],
        "correlation": correlation,
    }


def _not_kept(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    groups = defaultdict[tuple[str, str], list[str]](list)
    for one in experiments:
        if one.status != "keep":
            groups[one.status, one.reason].append(one.id)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [{"status": status, "reason": reason, "count": len(ids), "ids": ids} for (status, reason), ids in ordered]


def _lead(one: Lead) -> dict[str, Any]:
    return {
        "note": one.note.name,
        "paper": one.note.key,
        "title": one.note.front.title,
        "url": _cited(one.note.key, {one.note.key: one.note})["url"],
        "lane": one.note.front.lane,
        "state": one.state,
        "detail": one.detail,
        "score": one.score,
    }
