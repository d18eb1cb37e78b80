"""The device of a command, and of its threads."""

import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from thinc.api import NumpyOps, get_current_ops, set_current_ops

from conll_ner.common import device
from conll_ner.common.console import InputError
from conll_ner.common.device import (
    gpu_number,
    has_cupy,
    inherit_device,
    peak_gpu_memory,
    resolve_device,
)


class OtherOps(NumpyOps):  # type: ignore[misc]
    """A backend that no thread has by default."""

    name = "other"


def test_a_thread_inherits_the_backend() -> None:
    before = get_current_ops()
    set_current_ops(OtherOps())
    try:
        with (
            ThreadPoolExecutor(1) as plain,
            ThreadPoolExecutor(1, initializer=inherit_device()) as own,
        ):
            assert plain.submit(get_current_ops).result().name == "numpy"
            assert own.submit(get_current_ops).result().name == "other"
    finally:
        set_current_ops(before)


def test_a_thread_inherits_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(device, "get_torch_default_device", lambda: torch.device("cuda:1"))
    monkeypatch.setattr(device, "set_active_gpu", chosen.append)
    with ThreadPoolExecutor(1, initializer=inherit_device()) as pool:
        pool.submit(get_current_ops).result()
    assert chosen == [1]


def fake_gpus(monkeypatch: pytest.MonkeyPatch, count: int, *, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def test_the_gpu_that_was_asked_for_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process can see two GPUs of which one doesn't work."""
    fake_gpus(monkeypatch, 2)
    current: list[int] = []

    class Device:
        def __init__(self, number: int) -> None:
            self.number = number

        def __enter__(self) -> None:
            current.append(self.number)

        def __exit__(self, *_: Any) -> None:
            current.pop()

    def zeros(_: int) -> None:
        if current[-1] == 1:
            raise RuntimeError("CUDA error")

    cupy = ModuleType("cupy")
    cupy.cuda = SimpleNamespace(Device=Device)  # type: ignore[attr-defined]
    cupy.zeros = zeros  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert has_cupy(0)
    assert not has_cupy(1)
    assert resolve_device("auto") == 0
    with pytest.raises(InputError, match="GPU 1 can't be used"):
        resolve_device("1")
    with pytest.raises(InputError, match="torch finds 2 GPUs"):
        resolve_device("2")
    with pytest.raises(InputError, match="not auto, cpu or a GPU's number"):
        resolve_device("cuda")


def test_apples_gpu_is_number_0_and_needs_no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpus(monkeypatch, 0, mps=True)
    assert resolve_device("auto") == -1
    assert resolve_device("0") == 0
    assert peak_gpu_memory(0) == {}
    with pytest.raises(InputError, match="torch finds 0 GPUs"):
        resolve_device("1")


def test_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpus(monkeypatch, 1)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda gpu: (3 + gpu) * 1024**2)
    assert peak_gpu_memory(0) == {"peak_gpu_memory_mb": 3}
    assert peak_gpu_memory(-1) == {}


def test_numbers_of_devices() -> None:
    devices = ("cpu", "cuda", "cuda:1", "mps")
    assert [gpu_number(torch.device(name)) for name in devices] == [-1, 0, 1, 0]
