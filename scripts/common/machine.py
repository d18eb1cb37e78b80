"""Select the device, and describe the hardware and software that a command runs on."""

import ctypes
import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from common.console import InputError, msg

M_MMAP_THRESHOLD = -3  # in glibc's malloc.h
LARGE_BLOCK = 2 * 1024**2  # bytes
PACKAGES = ("spacy", "thinc", "spacy-transformers", "transformers", "torch", "seqeval", "numpy")


def resolve_device(device: str) -> int:
    """Resolve the option `--device`.

    device (str): "auto" (the first GPU if there is one), "cpu", or a GPU number.
    RETURNS (int): spaCy's GPU id: -1 for the CPU.
    RAISES (InputError): If the GPU can't be used.
    """
    if device == "auto" and not torch.cuda.is_available():
        msg.info("No GPU found: running on the CPU")
        return -1
    if device == "cpu":
        return -1
    if device != "auto" and not device.isdecimal():
        raise InputError(f"--device {device} is not auto, cpu or a GPU's number")
    gpu = 0 if device == "auto" else int(device)
    if gpu >= torch.cuda.device_count():
        raise InputError(
            f"--device {device}: torch finds {torch.cuda.device_count()} GPUs; "
            "choose another or use --vars.device cpu"
        )
    if not has_cupy():
        raise InputError(
            f"GPU {gpu} can't be used: spaCy needs CuPy. Install the build for your CUDA version "
            f"(torch uses {torch.version.cuda}), e.g. pip install cupy-cuda12x, "
            "or use --vars.device cpu"
        )
    return gpu


def has_cupy() -> bool:
    """RETURNS (bool): Whether CuPy is installed and finds its CUDA libraries."""
    try:
        import cupy

        cupy.zeros(1)
    except Exception:  # an ImportError, or any error of CUDA's loader
        return False
    return True


def describe_hardware(gpu: int) -> str:
    """RETURNS (str): The name of the GPU, or the name of the CPU and the number of threads."""
    if gpu >= 0:
        return str(torch.cuda.get_device_name(gpu))
    return f"{processor_name()}, {torch.get_num_threads()} threads"


def processor_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
            return next(names, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()


def package_versions() -> dict[str, str]:
    """RETURNS (dict[str, str]): Versions of Python and of the packages that scores depend on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def return_freed_memory() -> None:
    """Make glibc return large blocks to the operating system as soon as they are freed.

    By default, it keeps freed blocks of up to 32 MiB for reuse, and tensors of many shapes leave
    gaps there (mallopt(3), M_MMAP_THRESHOLD). Other C libraries are left alone.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


def peak_memory_mb() -> float:
    """RETURNS (float): Peak RAM use of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2
