"""Select the device that a command runs on. torch is imported only where it is installed: slim
pipelines are served without it."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from thinc.api import get_current_ops, get_torch_default_device, set_active_gpu, set_current_ops

from conll_ner.common.console import InputError, msg

if TYPE_CHECKING:
    import torch


def resolve_device(device: str) -> int:
    """Resolve the option `--device`.

    device (str): "auto" (the first CUDA GPU if there is one), "cpu", or a GPU number. On a Mac, 0
        is Apple's GPU (MPS).
    RETURNS (int): spaCy's GPU id: -1 for the CPU.
    RAISES (InputError): If the GPU can't be used.
    """
    if device == "cpu":
        return -1
    if device != "auto" and not device.isdecimal():
        raise InputError(f"--device {device} is not auto, cpu or a GPU's number")
    if find_spec("torch") is None:
        if device == "auto":
            return -1
        raise InputError(f"--device {device}: torch isn't installed; only the CPU can be used")
    import torch

    if device == "auto" and not torch.cuda.is_available():
        msg.info("No GPU found: running on the CPU")
        return -1
    gpu = 0 if device == "auto" else int(device)
    if gpu == 0 and torch.backends.mps.is_available():
        return gpu
    if gpu >= torch.cuda.device_count():
        raise InputError(
            f"--device {device}: torch finds {torch.cuda.device_count()} GPUs; "
            "choose another or use --vars.device cpu"
        )
    if not has_cupy(gpu):
        raise InputError(
            f"GPU {gpu} can't be used: spaCy needs CuPy. Install the build for your CUDA version "
            f"(torch uses {torch.version.cuda}), e.g. pip install cupy-cuda12x, "
            "or use --vars.device cpu"
        )
    return gpu


def has_cupy(gpu: int) -> bool:
    """RETURNS (bool): Whether CuPy is installed, finds its CUDA libraries, and can use this GPU."""
    try:
        import cupy

        with cupy.cuda.Device(gpu):
            cupy.zeros(1)
    except Exception:  # an ImportError, or any error of CUDA's loader
        return False
    return True


def inherit_device() -> Callable[[], None]:
    """RETURNS (Callable): A function that selects the device of this thread in another one. Both
    thinc's backend and torch's current GPU belong to a thread."""
    ops = get_current_ops()
    device = get_torch_default_device() if find_spec("torch") else None

    def use() -> None:
        set_current_ops(ops)
        if device is not None and device.type == "cuda":
            set_active_gpu(device.index)

    return use


def peak_gpu_memory(gpu: int) -> dict[str, int]:
    """RETURNS (dict[str, int]): `peak_gpu_memory_mb`, the most memory that torch has reserved on
    the GPU in this process, in MiB (CuPy's included where `gpu_allocator` is "pytorch"). Empty for
    the CPU and for Apple's GPU, which shares the CPU's memory."""
    if gpu < 0:
        return {}
    import torch

    if not torch.cuda.is_available():
        return {}
    return {"peak_gpu_memory_mb": round(torch.cuda.max_memory_reserved(gpu) / 1024**2)}


def gpu_number(device: "torch.device") -> int:
    """RETURNS (int): spaCy's GPU id of a device: -1 for the CPU."""
    return -1 if device.type == "cpu" else device.index or 0
