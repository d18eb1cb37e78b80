"""Functions that copy the project and run its steps, for the tests that do so."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from conll_ner.data.columns import conll
from tests.conftest import ROOT

ALL = ["fetch", "convert", "train", "evaluate", "package", "install"]  # the steps of `all`
COPIED = (
    "assets/sample",
    "configs",
    "project.yml",
    "scripts/token_ner/about.py",  # the version, on which every step depends
    "LICENSE",
)


def copy_project(folder: Path) -> None:
    """Copy what a clone has, and the embedded backbone's wheel if it is there."""
    for name in COPIED:
        source = ROOT / name
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    wheels = ROOT / "assets" / "wheels"
    if wheels.is_dir():
        shutil.copytree(wheels, folder / "assets" / "wheels")


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Make a folder once for all workers. Those that ask for it meanwhile wait.

    make (Callable): Fills an empty folder.
    RETURNS (Path): The folder, which no test may change.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # it contains the workers' own ones
    with FileLock(base / f"{name}.lock"):
        if not (base / name).exists():
            folder = factory.mktemp(name)
            make(folder)
            folder.rename(base / name)
    return base / name


def cut(source: Path, target: Path, documents: int) -> None:
    """Write a corpus's first documents."""
    corpus = conll.read_corpus(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(conll.format_corpus(corpus.documents[:documents]), encoding="utf-8")


def run(
    folder: Path, *arguments: str, python: str | Path = sys.executable, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a step or workflow as a user does, by the interpreter or by the fork server's client."""
    return subprocess.run(
        [str(python), "-m", "spacy", "project", "run", *arguments],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1"} | variables,
        capture_output=True,
        text=True,
    )


def steps(output: str) -> tuple[list[str], list[str]]:
    """The steps that ran and those that were skipped, read off what weasel prints."""
    named = re.findall(r"=+ (\w+) =+", output)
    skipped = re.findall(r"Skipping '(\w+)'", output)
    return [name for name in named if name not in skipped], skipped
