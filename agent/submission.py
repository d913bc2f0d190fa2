"""What the Parameter Golf challenge asks for, from one commit: a folder with script, artifact, log, README and facts.

The folder's layout is that of github.com/openai/parameter-golf, records/track_non_record_16mb: whatever was measured
here was not measured on the challenge's machines, so it is never called a record, and the README begins with what does
not meet the challenge's conditions. The bench trains and scores the very script that is submitted.
"""

import datetime
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.packing import SCRIPT
from agent.report import duration
from bench import files
from bench.data import Dataset
from bench.errors import UsageError
from bench.job import Measurement
from bench.machine import Fingerprint
from bench.measure import PROGRESS
from bench.profiles import Profile

TRACK = "track_non_record_16mb"
MOST_SECONDS = 600.0
"""The challenge's own limit, on eight H100."""
FINEWEB = "fineweb"
ARTIFACT, LOG, README, FACTS = "artifact.bin", "train.log", "README.md", "submission.json"
ERRORS = "stderr.txt"


@dataclass(frozen=True)
class Submission:
    """A script, what it was trained and scored as, and what came of it."""

    commit: str
    """Full hash of the commit it was packed from."""
    script: bytes
    profile: Profile
    seed: int
    knobs: Mapping[str, str]
    """What its environment set apart from the contract's variables."""
    found: Measurement
    data: Dataset
    machine: Fingerprint
    author: str
    github_id: str
    timestamp: int
    """Epoch milliseconds."""

    @property
    def name(self) -> str:
        """What it is called."""
        return f"Nightshift {self.commit[:7]}"

    @property
    def day(self) -> str:
        """YYYY-MM-DD, in UTC."""
        return self.date[:10]

    @property
    def date(self) -> str:
        """When it was measured, as submission.json has it."""
        at = datetime.datetime.fromtimestamp(self.timestamp / 1000, datetime.UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def val_loss(self) -> float:
        """Nats a token, over the tokens that were scored."""
        return self.found.val_bpb * math.log(2) * self.found.scored_bytes / self.found.scored_tokens

    @property
    def hardware(self) -> str:
        """In words."""
        here = self.machine
        threads = f", {here.threads} thread{'s' if here.threads > 1 else ''}" if here.device == "cpu" else ""
        return f"{here.processor} ({here.device}{threads}), MLX {here.mlx}"

    @property
    def dataset(self) -> str:
        """In words."""
        return f"{self.data.source}, digest {self.data.digest[:12]}"

    def unmet(self) -> list[str]:
        """What does not meet the challenge's conditions, in sentences."""
        seconds, found = self.found.training.wall_s, []
        found.append(f"It was trained on {self.hardware}, not on 8×H100; nothing here says how fast it is there.")
        if self.data.source != FINEWEB:
            found.append(
                f"It was trained and scored on other text ({self.data.source}), not on FineWeb: its val_bpb compares"
                " with no entry of the leaderboard."
            )
        if self.profile.size != "golf":
            found.append(f"Its size class is {self.profile.size}, not golf.")
        if seconds > MOST_SECONDS:
            found.append(f"Training took {duration(seconds)}, more than 10 minutes.")
        found.append(f"One seed was run ({self.seed}); a record needs enough runs to show its gain at p < 0.01.")
        found.append("The script is written for MLX, not for PyTorch with CUDA.")
        return found


def facts(one: Submission) -> dict[str, object]:
    """What submission.json says."""
    found = one.found
    return {
        "author": one.author,
        "github_id": one.github_id,
        "name": one.name,
        "blurb": f"{found.steps} steps on {one.data.source} text, {one.hardware}; not a record: see the README.",
        "date": one.date,
        "track": TRACK,
        "val_loss": round(one.val_loss, 8),
        "val_bpb": round(found.val_bpb, 8),
        "bytes_total": found.total_bytes,
        "bytes_code": found.code_bytes,
        "bytes_model": found.artifact_bytes,
        "seeds": [one.seed],
        "settings": dict(one.knobs),
        "steps": found.steps,
        "train_tokens": found.train_tokens,
        "training_seconds": round(found.training.wall_s, 1),
        "hardware": one.hardware,
        "dataset": one.dataset,
        "scored_tokens": found.scored_tokens,
        "scored_bytes": found.scored_bytes,
        "artifact_sha256": found.artifact_sha256,
        "commit": one.commit,
        "unmet_conditions": one.unmet(),
    }


def readme(one: Submission) -> str:
    """The README, which begins with what does not meet the challenge's conditions."""
    found, profile = one.found, one.profile
    environment = {
        "SEED": one.seed,
        "ITERATIONS": profile.steps,
        "SIZE": profile.size,
        "MAX_WALLCLOCK_SECONDS": round(profile.max_wallclock_seconds),
        **one.knobs,
    }
    command = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in environment.items())
    unnamed = ["- `submission.json` names no GitHub account yet: fill `github_id` in."] * (not one.github_id)
    return "\n".join(
        [
            f"# {one.name}",
            "",
            "**Not a record.** What does not meet the challenge's conditions:",
            "",
            *(f"- {sentence}" for sentence in one.unmet()),
            *unnamed,
            "",
            "## What was measured",
            "",
            f"- val_bpb {found.val_bpb:.8f}, val_loss {one.val_loss:.8f} nats a token, of the artifact as it is stored,"
            f" over {found.scored_tokens:,} tokens ({found.scored_bytes:,} bytes): the whole validation split, in"
            f" windows of {profile.window:,} tokens that do not overlap, without the token that begins a document.",
            f"- {found.total_bytes:,} bytes of 16,000,000: {found.code_bytes:,} of code and {found.artifact_bytes:,} of"
            " artifact.",
            f"- {found.steps:,} steps, {found.train_tokens:,} tokens, {duration(found.training.wall_s)} in the training"
            " process.",
            f"- Data: {one.dataset}. Machine: {one.hardware}.",
            "- Trained and scored by Nightshift's bench, in a sandbox that shows the script no validation text while it"
            " trains; what the script prints is no measurement.",
            "",
            "## How to run it",
            "",
            "```bash",
            "pip install 'mlx[cpu]' numpy zstandard sentencepiece",
            f"DATA_DIR=path/to/shards RUN_DIR=. {command} python {SCRIPT}",
            "```",
            "",
            f"`DATA_DIR` holds `*_train_*.bin`; the run leaves `{ARTIFACT}`. To load that again:",
            "",
            "```python",
            f"import {SCRIPT.removesuffix('.py')}",
            "from trainer.model import load",
            "",
            f'forward = load("{ARTIFACT}")  # token ids (batch, time) to logits (batch, time, vocabulary)',
            "```",
            "",
            "## Files",
            "",
            f"- `{SCRIPT}`: the modules of commit {one.commit[:12]} in one file, as they are.",
            f"- `{ARTIFACT}`: the weights, sha256 {found.artifact_sha256}.",
            f"- `{LOG}`: what the script printed while it trained.",
            f"- `{FACTS}`: the same facts for programs.",
            "",
        ]
    )


def folder_of(root: Path, one: Submission) -> Path:
    """Where it belongs below a clone of the challenge's repository, or any folder."""
    return root / "records" / TRACK / f"{one.day}_{one.name.replace(' ', '_')}"


def write(root: Path, one: Submission, run: Path) -> Path:
    """Write the folder of a submission below `root`, from what its run left in `run`; returns it.

    Raises UsageError where there is one of that name, and DiskError.
    """
    folder = folder_of(root, one)
    if folder.exists():
        raise UsageError(f"{folder} is there already: move it away, or name another folder")
    log = b"".join((run / name).read_bytes() for name in (PROGRESS, ERRORS))
    content = {
        SCRIPT: one.script,
        ARTIFACT: (run / ARTIFACT).read_bytes(),
        LOG: log,
        FACTS: (json.dumps(facts(one), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(),
        README: readme(one).encode(),
    }
    for name, held in content.items():
        files.write_atomic(folder / name, held)
    return folder
