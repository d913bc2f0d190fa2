"""A loopback alphaXiv and arXiv with answers of the real shapes."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from html import escape

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

OVERVIEW = """# An Extra RMSNorm is All You Need for Fine Tuning to 1.58 Bits

## Research Paper Analysis

### 1. Authors and context

The paper normalises the input of every quantized linear layer. Normalising keeps ternary training stable, and the
quantized linear layers then train without distillation. Ternary weights need stable inputs.

| model | perplexity |
|---|---|
| quantized | 7.1 |
"""


def atom(*entries: str) -> str:
    """A feed as export.arxiv.org sends it."""
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom" '
        'xmlns="http://www.w3.org/2005/Atom">\n<id>https://arxiv.org/api/x</id><title>arXiv Query</title>'
        f"<opensearch:totalResults>{len(entries)}</opensearch:totalResults>\n{''.join(entries)}</feed>\n"
    )


def entry(
    name: str = "2505.08823v2",
    title: str = "An Extra RMSNorm is All You Need\n  for Fine Tuning to 1.58 Bits",
    abstract: str = "Large language models need much memory. An extra norm before each linear layer suffices.",
    comment: str = "",
) -> str:
    """One paper of a feed, line breaks and all."""
    return (
        f"<entry><id>http://arxiv.org/abs/{name}</id><title>{escape(title)}</title>"
        f"<updated>2025-05-20T00:00:00Z</updated><published>2025-05-12T00:00:00Z</published>"
        f"<summary>  {escape(abstract)}\n</summary><category term='cs.LG'/><category term='cs.CL'/>"
        f'<link href="http://arxiv.org/abs/{name}" rel="alternate" type="text/html"/>'
        f"{f'<arxiv:comment>{escape(comment)}</arxiv:comment>' if comment else ''}</entry>"
    )


Answer = Response | Callable[[Request], Response]


def in_turn(*answers: Answer) -> Callable[[Request], Response]:
    """A handler that gives one answer after another, and the last for ever."""
    left = list(answers)

    def handler(request: Request) -> Response:
        answer = left.pop(0) if len(left) > 1 else left[0]
        return answer if isinstance(answer, Response) else answer(request)

    return handler


def text(body: str, status: int = 200, kind: str = "text/markdown", **headers: str) -> Response:
    """A page."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status, named, content_type=f"{kind}; charset=utf-8")


def feed(*entries: str) -> Response:
    """arXiv's answer."""
    return text(atom(*entries), kind="application/atom+xml")


def serve(
    server: HTTPServer, overview: Answer | None = None, full: Answer | None = None, arxiv: Answer | None = None
) -> None:
    """alphaXiv's two pages and arXiv's API, each a page, a function, or not there."""
    pages = (("/overview/.*", overview), ("/abs/.*", full), ("/api/query", arxiv))
    for path, answer in pages:
        handler = in_turn(answer if answer is not None else text("not found", 404))
        server.expect_request(re.compile(path)).respond_with_handler(handler)


def cut(request: Request) -> Response:
    """A body of which most never comes."""
    return Response(iter([b"# cut"]), headers={"Content-Length": "5000"}, content_type="text/markdown")


def drip(seconds: float, pieces: int) -> Callable[[Request], Response]:
    """A body that never stays silent for long and never ends soon."""

    def body() -> Iterator[bytes]:
        for _ in range(pieces):
            yield b"# a "
            time.sleep(seconds)

    return lambda request: Response(body(), 200, content_type="text/markdown")


@contextlib.contextmanager
def dripping_headers() -> Iterator[str]:
    """The address of a server that sends one byte of its headers after another, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def talk(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not over.wait(0.05):
                client.sendall(b"a")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threads.append(threading.Thread(target=talk, args=(client,)))
                threads[-1].start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join()
