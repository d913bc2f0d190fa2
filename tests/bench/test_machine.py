"""Which machines are of one class."""

import pytest

from bench import machine
from bench.machine import Fingerprint, Probe


def found(monkeypatch: pytest.MonkeyPatch, device: str, name: str) -> Fingerprint:
    seen = Probe(mlx="0.32.4", device=device, name=name, gigaflops=1.0)
    monkeypatch.setattr(machine, "probe", lambda: seen)
    return machine.fingerprint.__wrapped__()


def test_a_process_says_what_mlx_computes_on() -> None:
    seen = machine.probe()
    assert seen.name
    assert seen.gigaflops > 0


def test_machines_that_differ_in_their_gpu_alone_are_of_two_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (found(monkeypatch, "gpu", name) for name in ("NVIDIA H100", "NVIDIA H200"))
    assert one != other
    assert one.processor.endswith("with NVIDIA H100")
    assert not one.repeatable


def test_a_chip_that_is_both_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = found(monkeypatch, "cpu", "a name")
    assert found(monkeypatch, "gpu", plain.processor).processor == plain.processor
