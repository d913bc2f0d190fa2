"""Which schedulers may be spoken to."""

import pytest

from bench import link
from bench.errors import MachineError, UsageError


def test_without_dask_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match="pip install 'nightshift"):
        link.set_up("tcp://127.0.0.1:8786", "client")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://10.1.2.3:8786", "write tls://10.1.2.3:8786"),
        ("0.0.0.0:8786", "write tls://0.0.0.0:8786"),
        ("tcp://localhost.example.org:8786", "whoever reaches a scheduler runs code"),
        ("tcp://[fd00::1]:8786", "write tls://[fd00::1]:8786"),
        ("tls://10.1.2.3:8786", "needs certificates"),
        ("inproc://10.1.2.3:8786", "is no scheduler's address"),
        ("ws://127.0.0.1:8786", "is no scheduler's address"),
        ("127.0.0.1", "is no scheduler's address"),
        ("tcp://127.0.0.1:no", "is no scheduler's address"),
        ("", "is no scheduler's address"),
    ],
)
def test_an_address_that_is_not_safe_is_refused_in_one_line(address: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"^[^\n]*$") as refused:
        link.set_up(address, "worker")
    assert words in str(refused.value)


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "tcp://127.0.0.1:8786", "tcp://localhost:8786", "[::1]:8786"])
def test_loopback_is_allowed_as_it_is(address: str) -> None:
    assert link.set_up(address, "client") == f"tcp://{address.rpartition('//')[2]}"
