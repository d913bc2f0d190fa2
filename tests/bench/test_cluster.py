"""Runs on workers elsewhere: real schedulers and workers on loopback, and everything that can happen to them."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import psutil
import pytest

from agent.cli_bench import working_tree
from bench import cluster as module
from bench import link
from bench.cluster import Cluster
from bench.corpus import prepare
from bench.data import Dataset
from bench.errors import Interrupted, MachineError, RunFailed
from bench.ground import Ground
from bench.job import Job, Measurement, Progress
from bench.measure import PROGRESS, measure
from bench.order import Order, Outcome
from bench.profiles import profile
from bench.slots import ENDED
from bench.worker import Runs
from tests.conftest import write_text_folder
from tests.fakes import fake_tree, make_repo
from tests.fakes.cluster import DASK, ROOT, Started, free_port, scheduler, started, until, worker

SMOKE = profile("short-smoke")
QUICKLY_S = 15.0
"""Far less than a run of the hanging trainer takes, on a busy machine too."""


def job(behaviour: str = "honest", seed: int = 1) -> Job:
    return Job(tree=fake_tree(BEHAVIOUR=f'"{behaviour}"'), profile=SMOKE, seed=seed, label=f"the {behaviour} one")


@dataclass
class Night:
    """What a night does with a cluster, and what it was shown and told."""

    address: str
    folder: Path
    ground: Ground
    shown: list[tuple[Job, Progress]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def link(self) -> Cluster:
        return Cluster(
            link.set_up(self.address, "client"),
            self.ground,
            self.folder,
            lambda job, word: self.shown.append((job, word)),
            self.lines.append,
        )

    def told(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    @property
    def phases(self) -> list[str]:
        return [word.phase for _, word in self.shown]


@dataclass
class Here:
    """A place where workers can be started."""

    repo: Path
    address: str


@pytest.fixture(scope="module")
def repo(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repo(tmp_path_factory.mktemp("cluster") / "person", small_data.root)


@pytest.fixture(scope="module")
def here(repo: Path) -> Iterator[Here]:
    """A scheduler that stays."""
    address = f"tcp://127.0.0.1:{free_port()}"
    with scheduler(address, repo.parent):
        yield Here(repo, address)


@pytest.fixture
def night(here: Here, small_data: Dataset, tmp_path: Path) -> Night:
    return Night(here.address, tmp_path / "runs", Ground.of(small_data))


@pytest.fixture(scope="module")
def local(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    """What the honest job measures on this machine without a cluster."""
    return measure(job(), small_data, tmp_path_factory.mktemp("local"), lambda word: None, Event())


def same(one: Measurement, other: Measurement) -> bool:
    return (one.val_bpb.hex(), one.artifact_sha256) == (other.val_bpb.hex(), other.artifact_sha256)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def runs_at(one: Started, label: str) -> bool:
    return label in one.said and bool(one.below())


def test_a_job_gives_elsewhere_what_it_gives_here_to_the_last_bit(here: Here, night: Night, local: Measurement) -> None:
    with worker(here.address, here.repo), night.link() as bench:
        assert same(bench.submit(job()).result(60), local)
        assert bench.capacity == 1
    assert night.told("joins, slots: 1")
    assert {"setup", "train", "export", "score"} & set(night.phases)
    assert night.phases.count(ENDED) == 1
    (kept,) = night.folder.iterdir()
    assert len((kept / PROGRESS).read_text().splitlines()) == len(night.phases) - 1


@pytest.mark.long
def test_the_shipped_trainer_gives_elsewhere_what_it_gives_here_to_the_last_bit(
    here: Here, embedded_data: Dataset, tmp_path: Path
) -> None:
    shipped = Job(working_tree(ROOT), SMOKE, seed=1, label="the shipped trainer")
    night = Night(here.address, tmp_path / "runs", Ground.of(embedded_data))
    with worker(here.address, make_repo(tmp_path / "person", embedded_data.root)), night.link() as bench:
        found = bench.submit(shipped).result()
    assert same(found, measure(shipped, embedded_data, tmp_path / "local", lambda word: None, Event()))


def test_a_run_that_fails_elsewhere_fails_here_under_its_name(here: Here, night: Night) -> None:
    with worker(here.address, here.repo), night.link() as bench, pytest.raises(RunFailed) as failed:
        bench.submit(job("raise")).result(60)
    assert failed.value.reason == "exit_code"
    assert "the widget is bent" in failed.value.detail
    assert "ValueError" in failed.value.log


@pytest.mark.long
def test_two_workers_run_two_jobs_at_a_time(here: Here, night: Night) -> None:
    with worker(here.address, here.repo) as one, worker(here.address, here.repo) as two, night.link() as bench:
        until(lambda: bench.capacity == 2)
        futures = [bench.submit(job("sleep 4", seed)) for seed in (1, 2)]
        until(lambda: runs_at(one, "sleep 4") and runs_at(two, "sleep 4"))
        assert [future.result(60).steps for future in futures] == [SMOKE.steps] * 2


def test_a_pair_is_run_by_one_worker_though_another_is_idle(here: Here, night: Night) -> None:
    def ordered(seed: int, pair: str) -> Job:
        return replace(job("sleep 1", seed), pair=pair)

    with worker(here.address, here.repo) as one, worker(here.address, here.repo) as two, night.link() as bench:
        until(lambda: bench.capacity == 2)
        for future in [bench.submit(ordered(seed, "a pair")) for seed in (1, 2)]:
            future.result(60)
        assert sorted(each.said.count("sleep 1") for each in (one, two)) == [0, 2]
        for future in [bench.submit(ordered(seed, f"pair {seed}")) for seed in (3, 4)]:
            future.result(60)
        assert sorted(each.said.count("sleep 1") for each in (one, two)) == [1, 3]


@pytest.mark.long
def test_a_worker_from_which_nothing_is_heard_gets_no_run(here: Here, night: Night) -> None:
    with worker(here.address, here.repo) as one, worker(here.address, here.repo) as two, night.link() as bench:
        until(lambda: bench.capacity == 2)
        one.process.send_signal(signal.SIGSTOP)
        until(lambda: any(place.rests for place in bench.places.values()))
        for future in [bench.submit(job("sleep 1", seed)) for seed in (1, 2)]:
            future.result(60)
        assert two.said.count("sleep 1") == 2
        one.process.send_signal(signal.SIGCONT)
        until(lambda: not any(place.rests for place in bench.places.values()))


def test_a_job_whose_worker_dies_is_run_by_another(here: Here, night: Night, local: Measurement) -> None:
    with worker(here.address, here.repo) as one, night.link() as bench:
        future = bench.submit(job("sleep 4"))
        until(lambda: "train" in night.phases)
        with worker(here.address, here.repo) as two:
            below = one.below()
            one.kill()
            assert same(future.result(60), local)
            if local.sandbox != "none":  # its next start ends what it left there
                assert not alive(below)
            assert "sleep 4" in one.said
            assert two.said.count("sleep 4") == 1
    assert night.told("has left")
    assert night.phases.count(ENDED) == 1


def test_a_worker_that_is_asked_to_end_leaves_nothing(here: Here, night: Night) -> None:
    with worker(here.address, here.repo) as one, night.link() as bench:
        future = bench.submit(job("hang"))
        until(lambda: runs_at(one, "hang"))
        below, began = one.below(), time.monotonic()
        one.process.send_signal(signal.SIGINT)
        assert one.process.wait(QUICKLY_S) == 0
        assert time.monotonic() - began < QUICKLY_S
        assert not alive(below)
        assert not future.done()
    assert not list((here.repo / ".git/nightshift/workers").iterdir())
    with pytest.raises(Interrupted):
        future.result(0)


def test_a_worker_without_a_scheduler_says_so_waits_and_can_be_ended(repo: Path) -> None:
    with worker(f"tcp://127.0.0.1:{free_port()}", repo, ready="no scheduler answers at") as one:
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(QUICKLY_S) == 0


@pytest.mark.parametrize("how", ["stop", "cancel", "leave"])
def test_a_job_that_nobody_waits_for_ends_at_its_worker(how: str, here: Here, night: Night) -> None:
    with worker(here.address, here.repo) as one:
        with night.link() as bench:
            future = bench.submit(job("hang"))
            until(lambda: runs_at(one, "hang"))
            if how == "stop":
                bench.stop.set()
                with pytest.raises(Interrupted):
                    future.result(QUICKLY_S)
            elif how == "cancel":
                assert future.cancel()
            if how != "leave":
                until(lambda: not one.below(), QUICKLY_S)
        until(lambda: not one.below(), QUICKLY_S)
        assert one.process.poll() is None


def test_closed_it_lets_runs_under_way_end_and_begins_no_other(here: Here, night: Night) -> None:
    with worker(here.address, here.repo), night.link() as bench:
        first = bench.submit(job("sleep 4"))
        until(lambda: "train" in night.phases)
        second = bench.submit(job())
        bench.close()
        assert first.result(60).steps == SMOKE.steps
        with pytest.raises(Interrupted):
            second.result(1)
        assert bench.stop.wait(1)


def test_a_scheduler_that_dies_and_comes_back_costs_no_job(night: Night, repo: Path, local: Measurement) -> None:
    night.address = f"tcp://127.0.0.1:{free_port()}"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(scheduler(night.address, repo.parent))
        one = stack.enter_context(worker(night.address, repo))
        bench = stack.enter_context(night.link())
        future = bench.submit(job("sleep 4"))
        until(lambda: "train" in night.phases)
        first.kill()
        until(lambda: "no scheduler answers" in one.said)
        until(lambda: not one.below(), QUICKLY_S)
        with scheduler(night.address, repo.parent):
            assert same(future.result(60), local)
        assert one.said.count("serves") == 2
    assert night.phases.count(ENDED) == 1


@pytest.mark.long
def test_without_scheduler_or_worker_it_says_so_and_waits(night: Night, repo: Path, local: Measurement) -> None:
    night.address = f"tcp://127.0.0.1:{free_port()}"
    with night.link() as bench:
        future = bench.submit(job())
        until(lambda: night.told(f"no scheduler answers at {night.address}"))
        with scheduler(night.address, repo.parent):
            until(lambda: night.told(f"type `nightshift worker {night.address}`"))
            with worker(night.address, repo):
                assert same(future.result(60), local)


def test_a_worker_on_other_data_is_not_used_and_named_once(here: Here, night: Night, tmp_path: Path) -> None:
    other = prepare(str(write_text_folder(tmp_path / "other", 300_000)), tmp_path / "data", lambda stage, share: None)
    elsewhere = make_repo(tmp_path / "person", other.root)
    with worker(here.address, elsewhere) as one, night.link() as bench:
        future = bench.submit(job())
        until(lambda: night.told("is not used: its data is other "))
        until(lambda: night.told("no worker fits"))
        time.sleep(2 * module.LOOK_S)
        assert sum("is not used" in line for line in night.lines) == 1
        assert f"here {night.ground.data}" in "".join(night.lines)
        assert not future.done()
        with worker(here.address, here.repo):
            assert future.result(60).steps == SMOKE.steps
        assert "the honest one" not in one.said


def test_a_worker_that_is_none_of_ours_is_not_used(here: Here, night: Night, tmp_path: Path) -> None:
    dask = [DASK, "worker", here.address, "--no-nanny", "--dashboard-address", "127.0.0.1:0"]
    with started(dask, tmp_path, tmp_path / "log", "Registered to"), night.link() as bench:
        future = bench.submit(job())
        until(lambda: night.told("none of nightshift's"))
        assert not future.done()


def test_a_scheduler_without_nightshift_ends_it_with_a_line(night: Night, repo: Path, tmp_path: Path) -> None:
    bare = "import sys; sys.modules['bench'] = None; from dask.__main__ import main; main()"
    port = free_port()
    where = ["--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0"]
    night.address = f"tcp://127.0.0.1:{port}"
    command = [sys.executable, "-c", bare, "scheduler", *where]
    with (
        started(command, tmp_path, tmp_path / "log", "Scheduler at:"),
        worker(night.address, repo),
        night.link() as bench,
        pytest.raises(MachineError, match="start it from an installation of the same"),
    ):
        bench.submit(job()).result(60)


def test_a_worker_checks_its_ground_again_before_each_run(small_data: Dataset, tmp_path: Path) -> None:
    here = Ground.of(small_data)
    runs, there = Runs(small_data, tmp_path, lambda line: None), here.model_copy(update={"bench": "of yesterday"})
    found = runs.run("key", Order.of(job(), there, "topic").model_dump_json())
    assert found == Outcome(unfit=f"its version of the bench is {here.bench}, here of yesterday")


@pytest.mark.long
def test_what_a_worker_turns_out_unfit_for_is_run_by_another(
    here: Here, night: Night, local: Measurement, small_data: Dataset
) -> None:
    """As the ground changed under it since it joined."""
    with worker(here.address, here.repo) as one, night.link() as bench:
        until(lambda: night.told("joins"))
        bench.ground = night.ground.model_copy(update={"sandbox": "another"})
        future = bench.submit(job())
        until(lambda: night.told("is not used: its sandbox is"))
        bench.ground = night.ground
        with worker(here.address, here.repo):
            assert same(future.result(60), local)
        assert "the honest one is not run here: its sandbox is" in one.said


@pytest.mark.long
def test_a_slow_worker_is_overtaken_and_its_late_answer_dropped(
    here: Here, night: Night, local: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "patience", lambda profile: 8.0)
    with worker(here.address, here.repo) as one, night.link() as bench:
        future = bench.submit(job("sleep 4"))
        until(lambda: "train" in night.phases)
        one.process.send_signal(signal.SIGSTOP)
        with worker(here.address, here.repo) as two:
            assert same(future.result(60), local)
            assert "sleep 4" in two.said
            one.process.send_signal(signal.SIGCONT)
            until(lambda: not one.below(), QUICKLY_S)
            assert bench.submit(job(seed=2)).result(60).steps == SMOKE.steps
    assert night.told("it is run a second time")
    assert night.phases.count(ENDED) == 2


def test_an_order_that_names_more_than_it_may_is_refused(small_data: Dataset) -> None:
    sent = replace(job(), knobs={"BETA2": "0.9"}, parent="champion")
    order = Order.of(sent, Ground.of(small_data), "topic")
    assert Order.model_validate_json(order.model_dump_json()).job() == sent
    with pytest.raises(ValueError, match="extra"):
        Order.model_validate_json(order.model_dump_json()[:-1] + ',"limits":{}}')
