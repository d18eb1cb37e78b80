"""Memory that is returned to the operating system."""

import platform
import subprocess
import sys

import pytest

# Blocks of 8 MiB among blocks of 1 MiB that stay (both too large for older gaps in the heap), after
# glibc has learnt from a larger one that such blocks are freed. Prints the MiB that remain in use,
# beside those that stay, when the large blocks are freed.
PROGRAM = """
import sys
from pathlib import Path
import numpy
from conll_ner.common.machine import return_freed_memory
if sys.argv[1] == "yes":
    return_freed_memory()

def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1024**2

large = numpy.ones(3_900_000)  # nearly the limit of 32 MiB, and larger than any gap
del large
before = resident()
rows = [(numpy.ones(1_000_000), numpy.ones(2**17)) for _ in range(30)]
rows = [small for _, small in rows]
print(resident() - before - len(rows))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_blocks_are_returned() -> None:
    def remaining(setting: str) -> float:
        command = [sys.executable, "-c", PROGRAM, setting]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert remaining("no") > 150  # of 240
    assert remaining("yes") < 20
