"""Started in a sandbox before anything is trusted to it: tries to get out, and says as a JSON list how it could.

Takes two arguments: a file of the person's that nothing in a sandbox may see, and a port of this machine on which
somebody listens. Its folder is the one it may write to; where it cannot, it ends with an error.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Try, and print what worked."""
    Path("mine").write_text("this must work")
    secret, port = Path(sys.argv[1]), int(sys.argv[2])
    tries: dict[str, Callable[[], object]] = {
        "it reads a person's file": secret.read_bytes,
        "it writes beside a person's file": lambda: secret.with_name("planted").write_text("x"),
        "it connects to this machine": lambda: socket.create_connection(("127.0.0.1", port), timeout=1.0).close(),
        "it opens a datagram socket to elsewhere": lambda: datagram(("192.0.2.1", 9)),
        "it signals its parent": lambda: os.kill(os.getppid(), signal.SIGCONT) if os.getppid() > 1 else refused(),
    }
    print(json.dumps([words for words, attempt in tries.items() if works(attempt)]))


def works(attempt: Callable[[], object]) -> bool:
    """Whether it ends without an error."""
    try:
        attempt()
    except OSError:
        return False
    return True


def datagram(address: tuple[str, int]) -> None:
    """Send a datagram; to be refused is to be shut in, to send it into nothing is not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", address)


def refused() -> None:
    """As a system call that is not allowed."""
    raise PermissionError


if __name__ == "__main__":
    main()
