"""A person at work in the repository between the cuts of its night: `python -m tests.chaos.disturbed`.

Hypothesis draws what happens: nights in which something goes wrong at some point, and commits, rebases, deleted
branches and garbage collections of the person's own. Whatever the order, the night comes to what it would have come to
alone, and what the person left is as the person left it.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.journal import read_journal
from bench import sandbox
from tests.agent.test_night import a_persons_own
from tests.chaos import night
from tests.chaos.disk import Fault, Layer
from tests.chaos.intact import check_ended, content, facts, path_of, quiet, whole_lines
from tests.chaos.sweep import ENDED, REFUSED, in_a_process, run_night
from tests.fakes import git

BRANCH = f"nightshift/{night.NAME}"
REFERENCES: list[dict[str, object]] = []
"""What the undisturbed night came to, once it is known."""


def alone(root: Path) -> dict[str, object]:
    """What the night of the repository in `root` comes to when nobody disturbs it."""
    if not REFERENCES:
        other = root.parent / "undisturbed"
        shutil.copytree(root, other, symlinks=True)
        code = in_a_process(lambda: run_night(other, finish=False), root.parent / "said")
        assert code == ENDED, (root.parent / "said").read_text()
        REFERENCES.append(facts(read_journal(path_of(other))))
    return REFERENCES[0]


class Disturbed(RuleBasedStateMachine):
    """One repository, one night, and a person."""

    def __init__(self) -> None:
        super().__init__()
        sandbox.chosen()
        self.folder = Path(tempfile.mkdtemp(prefix="nightshift-disturbed-"))
        self.commits = 0

    @initialize()
    def begin(self) -> None:
        """The person has a repository with work in every state."""
        self.root = night.make_repo(self.folder / "person")
        self.reference = alone(self.root)
        self.before = b""
        self.left()

    def left(self) -> None:
        """The person has done something: so it is to stay."""
        self.own = a_persons_own(self.root)

    @property
    def there(self) -> bool:
        """Whether the research branch exists."""
        return bool(git(self.root, "for-each-ref", f"refs/heads/{BRANCH}"))

    def pass_night(self, fault: Fault, at: int) -> tuple[int, str]:
        """Its exit code, and what it said."""
        said = self.folder / "said"
        code = in_a_process(lambda: run_night(self.root, Layer(self.root, fault, at), finish=False), said)
        return code, said.read_text()

    @rule(fault=st.sampled_from(["kill", "EIO", "ENOSPC", "short"]), at=st.integers(1, 500))
    def night_goes_wrong(self, fault: Fault, at: int) -> None:
        """Something goes wrong, if the night comes that far."""
        code, said = self.pass_night(fault, at)
        assert code in (ENDED, REFUSED) or (fault == "kill" and code == -9), said
        quiet(self.root, but_asleep=True)

    @rule()
    def commits_on_main(self) -> None:
        """The person commits what is staged, and stages something else."""
        self.commits += 1
        git(self.root, "commit", "--quiet", "--allow-empty", f"--message=work {self.commits}")
        (self.root / "staged.txt").write_text(f"staged {self.commits}\n")
        git(self.root, "add", "staged.txt")
        self.left()

    @rule()
    def amends(self) -> None:
        """The person writes history anew."""
        git(self.root, "commit", "--quiet", "--amend", "--no-edit", "--allow-empty", "--only")
        self.left()

    @precondition(lambda self: self.there)
    @rule()
    def deletes_the_research_branch(self) -> None:
        """The next start makes it again."""
        git(self.root, "branch", "--quiet", "--delete", "--force", BRANCH)

    @rule()
    def collects_garbage(self) -> None:
        """All that no ref holds is gone at once, and refs are packed."""
        git(self.root, "gc", "--quiet", "--prune=now")
        self.left()

    @precondition(lambda self: self.there)
    @rule()
    def commits_on_the_research_branch_and_puts_it_back(self) -> None:
        """The night will not go on from there, nor drop the commit; it goes on once the branch is back."""
        tip, desk = git(self.root, "rev-parse", BRANCH), self.folder / "desk"
        git(self.root, "worktree", "add", "--quiet", str(desk), BRANCH)
        git(desk, "commit", "--quiet", "--allow-empty", "--message=mine")
        mine = git(desk, "rev-parse", "HEAD")
        git(self.root, "worktree", "remove", "--force", str(desk))
        code, said = self.pass_night("none", 0)
        assert code == REFUSED, said
        assert "is not this night's" in said
        assert git(self.root, "rev-parse", BRANCH) == mine
        git(self.root, "update-ref", f"refs/heads/{BRANCH}", tip)

    @precondition(lambda self: self.there)
    @rule()
    def has_the_research_branch_checked_out_for_a_while(self) -> None:
        """Where the branch would have to move, the night will not go on; where not, it may."""
        desk = self.folder / "desk"
        git(self.root, "worktree", "add", "--quiet", str(desk), BRANCH)
        tip = git(desk, "rev-parse", "HEAD")
        self.pass_night("none", 0)
        assert git(desk, "status", "--porcelain") == ""
        assert git(desk, "rev-parse", "HEAD") == tip
        git(self.root, "worktree", "remove", "--force", str(desk))

    @invariant()
    def nothing_is_lost(self) -> None:
        """The journal reads, and only grows; the person's own is as it was left."""
        if not hasattr(self, "own"):
            return
        after = content(self.root)
        assert after.startswith(whole_lines(self.before))
        read_journal(path_of(self.root))
        self.before = after
        assert a_persons_own(self.root) == self.own

    def teardown(self) -> None:
        """Left alone, the night ends, and is the one that it would have been."""
        if hasattr(self, "own"):
            code, said = self.pass_night("none", 0)
            assert code == ENDED, said
            check_ended(self.root, self.reference, self.own)
        shutil.rmtree(self.folder)


def main() -> None:
    """Draw so many lives of a repository."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--examples", type=int, default=40)
    parser.add_argument("--steps", type=int, default=12)
    asked = parser.parse_args()
    live(asked.examples, asked.steps)
    print(f"{asked.examples} lives of up to {asked.steps} events: nothing lost")


def live(examples: int, steps: int) -> None:
    """Raises what does not hold, with the shortest life that shows it."""
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    run_state_machine_as_test(Disturbed, settings=how)


if __name__ == "__main__":
    main()
