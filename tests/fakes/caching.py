"""A Messages API that keeps a prompt cache and reports it, in front of another that answers.

What it counts follows Anthropic's documentation of prompt caching. A prompt is tools, then system, then messages, block
by block. At each block with `cache_control` everything up to there is written; a later prompt reads the longest written
beginning that ends at most 20 blocks before a mark of its own. A token is taken for three bytes of JSON, which is more
tokens than Claude's tokenizers make of English or of code.
"""

import hashlib
import http.server
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx

LOOK_BACK = 20
BYTES_A_TOKEN = 3
OWN_HEADERS = ("host", "content-length", "accept-encoding", "connection")


class Cache:
    """What has been written, and the usage of each call."""

    def __init__(self) -> None:
        self.written: set[str] = set()
        self.calls: list[dict[str, int]] = []

    def usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Input tokens of a request by where they come from; the request is taken to be served."""
        blocks = list(_blocks(body))
        digest, total = hashlib.sha256(), 0
        prefixes: list[tuple[str, int]] = []
        for block in blocks:
            text = json.dumps({name: value for name, value in block.items() if name != "cache_control"}).encode()
            digest.update(text)
            total += math.ceil(len(text) / BYTES_A_TOKEN)
            prefixes.append((digest.hexdigest(), total))
        marks = [number for number, block in enumerate(blocks) if "cache_control" in block]
        reach = {number for mark in marks for number in range(max(0, mark - LOOK_BACK), mark + 1)}
        read = max((prefixes[number][1] for number in reach if prefixes[number][0] in self.written), default=0)
        kept = {"5m": 0, "1h": 0}
        known = read
        for mark in marks:
            self.written.add(prefixes[mark][0])
            if prefixes[mark][1] > known:
                kept[blocks[mark]["cache_control"].get("ttl", "5m")] += prefixes[mark][1] - known
                known = prefixes[mark][1]
        found = {
            "input_tokens": total - known,
            "cache_read_input_tokens": read,
            "ephemeral_5m_input_tokens": kept["5m"],
            "ephemeral_1h_input_tokens": kept["1h"],
        }
        self.calls.append(found)
        return {
            "input_tokens": found["input_tokens"],
            "output_tokens": 1,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": sum(kept.values()),
            "cache_creation": {f"ephemeral_{life}_input_tokens": tokens for life, tokens in kept.items()},
        }


def _blocks(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from body.get("tools", ())
    yield from body.get("system", ())
    for message in body["messages"]:
        content = message["content"]
        yield from [{"type": "text", "text": content}] if isinstance(content, str) else content


@contextmanager
def caching(upstream: str) -> Iterator[tuple[str, Cache]]:
    """Serve in front of `upstream`, a base URL as the SDK takes it; gives its own, and the cache."""
    cache = Cache()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            usage = cache.usage(json.loads(content))
            passed = {name: value for name, value in self.headers.items() if name.lower() not in OWN_HEADERS}
            answer = httpx.post(upstream + self.path, content=content, headers=passed, timeout=60)
            lines = [_with_usage(line, usage) for line in answer.text.split("\n")]
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers["content-type"])
            self.end_headers()
            self.wfile.write("\n".join(lines).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", cache
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _with_usage(line: str, usage: Mapping[str, Any]) -> str:
    if not line.startswith("data: ") or '"message_start"' not in line:
        return line
    word = json.loads(line.removeprefix("data: "))
    word["message"]["usage"] = usage
    return f"data: {json.dumps(word)}"
