"""Whole nights whose runs are made by workers: on loopback, and through TLS."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from bench.data import Dataset
from tests.agent.test_night import EXPECTED, IDEAS, environment, journal_of, nightshift, verdicts
from tests.fakes import make_repo
from tests.fakes.cluster import certificates, free_port, scheduler, until, worker

HANGS = '# The queue\n\n## Hangs\n\n```knobs\nBEHAVIOUR = "hang"\n```\n'
WORDS = ("run", "--short", "--researcher", "queue", "--name", "n", "--cluster")


def test_a_cluster_decides_as_one_machine_does_and_its_numbers_come_back_there(
    small_data: Dataset, tmp_path: Path
) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    elsewhere = make_repo(tmp_path / "elsewhere" / "person", small_data.root)
    address = f"tcp://127.0.0.1:{free_port()}"
    with scheduler(address, tmp_path), worker(address, repo) as one, worker(address, elsewhere) as two:
        said = nightshift(repo, *WORDS, address).stdout
        assert said.count(" joins, slots: 1") == 2
        assert one.said.count(" · seed ") + two.said.count(" · seed ") == len(journal_of(repo).measured)
        assert " · seed " in one.said
        assert " · seed " in two.said
    assert verdicts(repo) == EXPECTED
    for number in ("1", "2"):
        assert json.loads(nightshift(repo, "replay", number, "--json").stdout)["came_back"]


def test_a_night_that_is_stopped_ends_its_runs_elsewhere_and_goes_on_from_there(
    small_data: Dataset, tmp_path: Path
) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, HANGS)
    address = f"tcp://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "agent.cli", *WORDS, address]
    with scheduler(address, tmp_path), worker(address, repo) as one:
        with subprocess.Popen(command, cwd=repo, env=environment(), stdout=subprocess.PIPE, text=True) as night:
            until(lambda: "Hangs · short-smoke" in one.said and bool(one.below()))
            night.send_signal(signal.SIGINT)
            said, _ = night.communicate(timeout=20)
        assert night.returncode == 0
        assert "all that was measured is journalled" in said
        until(lambda: not one.below(), 10)
        measured = len(journal_of(repo).measured)
        (repo / "kb" / "ideas.md").write_text("# The queue\n")
        nightshift(repo, *WORDS, address)
        assert len(journal_of(repo).measured) == measured
    assert verdicts(repo) == [("baseline", "keep", "baseline")]


@pytest.mark.parametrize("words", [WORDS, ("worker",)])
def test_an_address_without_tls_is_refused_in_one_line(
    words: tuple[str, ...], small_data: Dataset, tmp_path: Path
) -> None:
    repo = make_repo(tmp_path / "person", small_data.root)
    refused = nightshift(repo, *words, "tcp://192.0.2.1:8786", check=False)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("nightshift: tcp://192.0.2.1:8786 is not on this machine")
    assert len(refused.stderr.splitlines()) == 1


def test_slots_are_asked_for_where_a_worker_is_started(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root)
    refused = nightshift(repo, *WORDS, "tcp://127.0.0.1:8786", "--slots", "8", check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "nightshift: how many runs a worker makes side by side is its own `--slots`: leave it out here"
    ]


def own_address() -> str:
    """An address of this machine that is not loopback."""
    for found in psutil.net_if_addrs().values():
        for one in found:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return str(one.address)
    pytest.skip("this machine has no address but loopback")


def outsider(address: str, certificates: Mapping[str, str]) -> str:
    """What becomes of somebody without the right certificate who asks a scheduler what it knows."""
    program = (
        "import sys; from distributed import Client\n"
        "try: print(Client(sys.argv[1], timeout='3s').scheduler_info())\n"
        "except OSError as error: print('refused:', error)\n"
    )
    command = [sys.executable, "-c", program, address]
    surroundings = {**os.environ, **certificates}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl here to make certificates with")
def test_off_loopback_the_page_s_certificates_let_in_whoever_has_one_and_nobody_else(
    small_data: Dataset, tmp_path: Path
) -> None:
    repo = make_repo(tmp_path / "person", small_data.root)
    host, port = own_address(), free_port()
    address = f"tls://{host}:{port}"
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = certificates(tmp_path / "ours"), certificates(tmp_path / "theirs")
    with scheduler(address, tmp_path, ours), worker(address, repo, ours) as one:
        command = [sys.executable, "-m", "agent.cli", *WORDS, address]
        done = subprocess.run(command, cwd=repo, env={**environment(), **ours}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "baseline" in one.said
        listening = [one for one in psutil.Process(one.process.pid).net_connections() if one.status == "LISTEN"]
        assert {one.laddr.ip for one in listening} <= {host, "127.0.0.1"}
        assert "'type': 'Scheduler'" in outsider(address, ours)
        assert outsider(address, theirs).startswith("refused:")
        assert outsider(f"tcp://{host}:{port}", {}).startswith("refused:")
    assert verdicts(repo) == [("baseline", "keep", "baseline")]
