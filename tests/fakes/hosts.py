"""Several hosts on one machine: network namespaces on a bridge, with real packets between them."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NET = "10.77.91"


@dataclass(frozen=True)
class Host:
    """One of them."""

    name: str
    address: str

    @property
    def inside(self) -> list[str]:
        """What stands before a command that is to run there."""
        return ["ip", "netns", "exec", self.name]

    def link(self, state: str) -> None:
        """Plug its cable in (`up`) or pull it (`down`)."""
        ip("link", "set", f"{self.name}b", state)


def ip(*words: str) -> None:
    """One command of iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def possible() -> bool:
    """Whether namespaces can be made here."""
    try:
        with hosts(1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextlib.contextmanager
def hosts(count: int) -> Iterator[Sequence[Host]]:
    """So many hosts that reach each other, until the block ends."""
    mark = f"n{os.getpid() % 100_000}"  # a device has a name of fifteen characters at the most
    found = [Host(f"{mark}h{number}", f"{NET}.{number}") for number in range(1, count + 1)]
    with contextlib.ExitStack() as stack:
        ip("link", "add", f"{mark}br", "type", "bridge")
        stack.callback(ip, "link", "del", f"{mark}br")
        ip("link", "set", f"{mark}br", "up")
        for host in found:
            ip("netns", "add", host.name)
            stack.callback(ip, "netns", "del", host.name)
            ip("link", "add", f"{host.name}b", "type", "veth", "peer", "name", "eth0", "netns", host.name)
            ip("link", "set", f"{host.name}b", "master", f"{mark}br", "up")
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", host.name, "link", "set", device, "up")
        yield found
