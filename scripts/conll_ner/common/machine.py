"""The hardware and software that a command runs on."""

import ctypes
import os
import platform
import resource
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

M_MMAP_THRESHOLD = -3  # in glibc's malloc.h
LARGE_BLOCK = 2 * 1024**2  # bytes
PR_SET_PDEATHSIG = 1  # in Linux's sys/prctl.h
PACKAGES = (
    "spacy",
    "thinc",
    "spacy-transformers",
    "transformers",
    "torch",
    "onnxruntime",
    "seqeval",
    "numpy",
)


def describe_hardware(gpu: int) -> str:
    """RETURNS (str): The name of the GPU, or the name of the CPU and the number of threads. Without
    torch, the number of its cores."""
    if find_spec("torch") is None:
        return f"{processor_name()}, {os.cpu_count()} cores"
    import torch

    if gpu >= 0 and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(gpu))
    if gpu >= 0:
        return f"{processor_name()}, Apple's GPU (MPS)"
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


def end_with_parent() -> None:
    """For `preexec_fn`: a process that is started this way ends when the one that starts it is
    killed, which could not stop it. On Linux only (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def peak_memory_mb() -> float:
    """RETURNS (float): Peak RAM use of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2
