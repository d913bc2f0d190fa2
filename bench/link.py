"""The link between a night and its workers: Dask's settings, and the addresses that may be used.

Dask runs whatever reaches its scheduler. So it is spoken to on loopback alone, or through TLS with certificates on both
sides, as Dask's own configuration names them.
"""

import ipaddress
import logging
from importlib.util import find_spec
from typing import Literal
from urllib.parse import urlsplit

from bench.errors import MachineError, UsageError

Role = Literal["client", "worker"]
PATIENCE = "60s"
"""How long the other side may be silent: a link that is cut for less costs nothing."""
SETTINGS = {
    "distributed": {
        "comm": {"timeouts": {"tcp": PATIENCE, "connect": "5s"}},
        # An idle worker is to cost nothing: no profile of its threads, no watch over memory, few looks at itself.
        "worker": {
            "profile": {"enabled": False},
            "memory": {"target": False, "spill": False, "pause": False, "terminate": False},
        },
        "admin": {
            "tick": {"interval": "1s", "cycle": "10s"},
            "system-monitor": {"interval": "10s", "disk": False, "gil": {"enabled": False}},
        },
        "diagnostics": {"nvml": False},
    }
}
"""In place of Dask's defaults: what a person has set in Dask's own configuration stays."""


def set_up(address: str, role: Role) -> str:
    """Have Dask ready to speak to the scheduler at `address`; returns that address in full.

    Raises MachineError where Dask is not installed, and UsageError for an address that would not be safe.
    """
    scheme, host, port = parts(address)
    if find_spec("distributed") is None:
        raise MachineError("a cluster needs Dask: pip install 'nightshift[cluster]'")
    import dask
    import distributed  # noqa: F401  # with its defaults and its logging, which are changed below

    dask.config.update_defaults(SETTINGS)
    for name in ("distributed", "distributed.client", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    needed = ("ca-file", f"{role}.cert") if scheme == "tls" else ()
    if not all(dask.config.get(f"distributed.comm.tls.{name}", None) for name in needed):
        raise UsageError(
            f"{address} needs certificates: name distributed.comm.tls.ca-file and .{role}.cert in Dask's"
            " configuration (see docs/cluster.md)"
        )
    return f"{scheme}://{host}:{port}"


async def reach(address: str, role: Role) -> str:
    """The host, as an address, from which this machine reaches the scheduler. Raises OSError where none answers."""
    from distributed import Security
    from distributed.comm.addressing import get_address_host
    from distributed.comm.core import connect

    comm = await connect(address, **Security().get_connection_args(role))
    host: str = get_address_host(comm.local_address)
    await comm.close()
    return bracketed(host)


def parts(address: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises UsageError for what is no address, and for one that only TLS makes safe."""
    found = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        host, port = found.hostname, found.port
    except ValueError:
        host, port = None, None
    if found.scheme not in ("tcp", "tls") or not host or not port or found.path:
        raise UsageError(f"{address!r} is no scheduler's address: write tcp://127.0.0.1:8786 or tls://HOST:8786")
    name = bracketed(host)
    if found.scheme == "tcp" and not loopback(host):
        raise UsageError(
            f"{address} is not on this machine, and whoever reaches a scheduler runs code on its workers: write"
            f" tls://{name}:{port} and set up certificates (see docs/cluster.md)"
        )
    return found.scheme, name, port


def bracketed(host: str) -> str:
    """The host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def loopback(host: str) -> bool:
    """Whether nobody but this machine can be meant."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
