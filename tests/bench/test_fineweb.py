"""The published shards, fetched by a process of its own from a server that speaks the hub's protocol."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bench.data import Dataset, open_dataset, verify
from bench.fineweb import DATASET, MANIFEST, REPOSITORY, SHARD
from bench.shards import write_shard

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PREPARE = """
import sys
from pathlib import Path
from bench.errors import DataError
from bench.fineweb import prepare
try:
    prepare(Path(sys.argv[1]), lambda stage, share: print(f"{share:.3f} {stage}"), int(sys.argv[2]))
except DataError as error:
    sys.exit(f"DataError: {error}")
"""


@dataclass
class Hub:
    """A hub with one public dataset: small files are answered at once, large ones by a redirect to another host."""

    files: dict[str, bytes]
    asked: list[str] = field(default_factory=list)
    failures: dict[str, list[int]] = field(default_factory=dict)
    tokens_sent: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.path}")
        self.tokens_sent += request.headers.getlist("Authorization")
        if self.failures.get(request.method):
            return Response(status=self.failures[request.method].pop())
        if request.path.startswith("/cdn/"):
            return Response(self.files[request.path.removeprefix("/cdn/")])
        _, _, after = request.path.partition(f"/datasets/{REPOSITORY}/resolve/")
        revision, _, name = after.partition("/")
        if revision not in ("main", COMMIT):
            return Response(status=404, headers={"X-Error-Code": "RevisionNotFound"})
        if name not in self.files:
            return Response(status=404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content = self.files[name]
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if not name.endswith(".bin"):
            return Response(content, headers=headers)
        headers["X-Linked-ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        headers["X-Linked-Size"] = str(len(content))
        return Response(
            status=302, headers=headers | {"Location": f"http://127.0.0.1:{request.environ['SERVER_PORT']}/cdn/{name}"}
        )


@pytest.fixture
def hub(httpserver: HTTPServer, small_data: Dataset, tmp_path: Path) -> Hub:
    """The published layout, with one validation shard and three training shards cut from the small data."""
    files = {"datasets/tokenizers/fineweb_1024_bpe.model": small_data.tokenizer.read_bytes()}
    stats = {"files_train": 3, "files_val": 1}
    tokenizer = {"name": "sp_bpe_1024", "model_path": "tokenizers/fineweb_1024_bpe.model"}
    manifest = {
        "datasets": [{"name": "other"}, {"name": DATASET, "tokenizer_name": "sp_bpe_1024", "stats": stats}],
        "tokenizers": [tokenizer],
    }
    files[MANIFEST] = json.dumps(manifest).encode()
    train = small_data.tokens("train")
    parts = {f"train_{i:06d}": train[i * 10_000 : (i + 1) * 10_000] for i in range(3)}
    for name, tokens in {"val_000000": small_data.tokens("val"), **parts}.items():
        write_shard(tmp_path / "shard.bin", tokens)
        files[SHARD.format(f"fineweb_{name}.bin")] = (tmp_path / "shard.bin").read_bytes()
    server = Hub(files)
    httpserver.expect_request(re.compile("/")).respond_with_handler(server.answer)
    return server


def run_prepare(
    root: Path, endpoint: str, home: Path, train_shards: int = 1, **more: str
) -> subprocess.CompletedProcess[str]:
    """A fresh process, because the hub's library reads its environment once."""
    command = [sys.executable, "-c", PREPARE, str(root), str(train_shards)]
    environment = {"HF_ENDPOINT": endpoint.rstrip("/"), "HF_HOME": str(home), "HF_TOKEN": "hf_secret", **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_published_shards_arrive_unchanged_in_three_splits(
    hub: Hub, httpserver: HTTPServer, small_data: Dataset, tmp_path: Path
) -> None:
    done = run_prepare(tmp_path / "data", httpserver.url_for(""), tmp_path / "hf")
    assert (done.returncode, done.stderr) == (0, "")
    data = open_dataset(tmp_path / "data")
    verify(data)
    train = small_data.tokens("train")
    assert np.array_equal(data.tokens("val"), small_data.tokens("val"))
    assert np.array_equal(data.tokens("train"), train[:10_000])
    assert np.array_equal(data.tokens("audit"), train[10_000:20_000])
    assert sorted(path.name for path in data.train_dir.iterdir()) == ["fineweb_train_000000.bin", "tokenizer.model"]
    assert (data.source, data.vocab_size) == ("fineweb", 1024)
    assert data.tokenizer.read_bytes() == small_data.tokenizer.read_bytes()
    assert not any(path.is_symlink() for path in data.root.rglob("*"))


def test_every_file_comes_from_the_commit_of_the_manifest_and_no_token_is_sent(
    hub: Hub, httpserver: HTTPServer, tmp_path: Path
) -> None:
    assert run_prepare(tmp_path / "data", httpserver.url_for(""), tmp_path / "hf").returncode == 0
    resolved = [asked for asked in hub.asked if "/resolve/" in asked]
    assert all(MANIFEST in asked for asked in resolved if "/resolve/main/" in asked)
    assert sum(f"/resolve/{COMMIT}/" in asked for asked in resolved) >= 4
    assert hub.tokens_sent == []
    # Nothing but the files is asked of the hub: no telemetry.
    assert all("/resolve/" in asked or "/cdn/" in asked for asked in hub.asked)


def test_more_training_shards_move_the_audit_split_behind_them(
    hub: Hub, httpserver: HTTPServer, small_data: Dataset, tmp_path: Path
) -> None:
    assert run_prepare(tmp_path / "data", httpserver.url_for(""), tmp_path / "hf", 2).returncode == 0
    data = open_dataset(tmp_path / "data")
    assert np.array_equal(data.tokens("train"), small_data.tokens("train")[:20_000])
    assert np.array_equal(data.tokens("audit"), small_data.tokens("train")[20_000:30_000])


def test_a_second_time_downloads_no_shard_again(hub: Hub, httpserver: HTTPServer, tmp_path: Path) -> None:
    assert run_prepare(tmp_path / "a", httpserver.url_for(""), tmp_path / "hf").returncode == 0
    hub.asked.clear()
    assert run_prepare(tmp_path / "b", httpserver.url_for(""), tmp_path / "hf").returncode == 0
    assert not any(asked.startswith("GET") for asked in hub.asked)
    assert open_dataset(tmp_path / "a").digest == open_dataset(tmp_path / "b").digest


def test_progress_is_shown_and_rises(hub: Hub, httpserver: HTTPServer, tmp_path: Path) -> None:
    lines = run_prepare(tmp_path / "data", httpserver.url_for(""), tmp_path / "hf").stdout.splitlines()
    shares = [float(line.split()[0]) for line in lines]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert any("downloading fineweb_val_000000.bin" in line for line in lines)


@pytest.mark.parametrize("stumble", ["HEAD", "GET"])
def test_a_hub_that_stumbles_is_asked_again(hub: Hub, httpserver: HTTPServer, tmp_path: Path, stumble: str) -> None:
    hub.failures[stumble] = [503, 503]
    done = run_prepare(tmp_path / "data", httpserver.url_for(""), tmp_path / "hf")
    assert (done.returncode, done.stderr) == (0, "")


def assert_one_line(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith("DataError: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_the_hub_lacks_is_named_and_the_old_data_stays(
    hub: Hub, httpserver: HTTPServer, small_data: Dataset, tmp_path: Path
) -> None:
    root = shutil.copytree(small_data.root, tmp_path / "data")
    del hub.files[SHARD.format("fineweb_train_000001.bin")]
    done = run_prepare(root, httpserver.url_for(""), tmp_path / "hf")
    assert_one_line(done, "the hub has no datasets/datasets/fineweb10B_sp1024/fineweb_train_000001.bin")
    assert open_dataset(root).digest == small_data.digest
    assert not (tmp_path / ".data.new").exists()


def test_more_shards_than_are_published_are_refused_before_any_download(
    hub: Hub, httpserver: HTTPServer, tmp_path: Path
) -> None:
    done = run_prepare(tmp_path / "data", httpserver.url_for(""), tmp_path / "hf", 3)
    assert_one_line(done, "has 3 training shards and one is kept for audit")
    assert not any("fineweb_train" in asked for asked in hub.asked)


def test_a_hub_out_of_reach_is_one_line(tmp_path: Path) -> None:
    done = run_prepare(tmp_path / "data", "http://127.0.0.1:9", tmp_path / "hf", HF_HUB_OFFLINE="1")
    assert_one_line(done, "could not download datasets/manifest.json from the hub, check the network")


def test_a_manifest_of_another_shape_is_one_line(hub: Hub, httpserver: HTTPServer, tmp_path: Path) -> None:
    hub.files[MANIFEST] = b'{"datasets": []}'
    done = run_prepare(tmp_path / "data", httpserver.url_for(""), tmp_path / "hf")
    assert_one_line(done, f"does not describe {DATASET}")


def test_a_published_shard_that_is_none_is_refused(hub: Hub, httpserver: HTTPServer, tmp_path: Path) -> None:
    hub.files[SHARD.format("fineweb_val_000000.bin")] = b"<html>" * 1000
    done = run_prepare(tmp_path / "data", httpserver.url_for(""), tmp_path / "hf")
    assert_one_line(done, "wrong magic")
    assert not (tmp_path / "data").exists()
