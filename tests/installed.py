"""Environments of users: a venv with the packages that they install, linked from this one's."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distribution, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT


def with_dependencies(*requirements: str) -> set[str]:
    """RETURNS (set[str]): Packages, with or without extras, and everything that they need, as
    installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(requirement) for requirement in requirements]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            package = (canonicalize_name(requirement.name), extra)
            if package not in found:
                found.add(package)
                needed = map(Requirement, requires(package[0]) or ())
                waiting += [
                    r for r in needed if not r.marker or r.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in found}


def build_project(folder: Path) -> Path:
    """RETURNS (Path): The wheel of this project, as `pip install .` builds it."""
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "scripts", source / "scripts", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def make_environment(folder: Path, wheels: list[Path], requirement: str) -> Path:
    """Install what a user names, and nothing else, without the index.

    wheels (list[Path]): Of this project, and of a pipeline.
    requirement (str): "conll-ner", with its extras.
    RETURNS (Path): The Python of a new venv.
    """
    venv.create(folder)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", scheme))
    for name in with_dependencies(requirement) - {"conll-ner"}:
        found = distribution(name)
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():  # `google` and the like belong to several
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index"]
    # pip checks that every requirement is met.
    found_links = ["--find-links", str(wheels[0].parent)]
    named = [requirement, *map(str, wheels[1:])]
    subprocess.run([*pip, *found_links, *named], check=True, env=os.environ | {"PYTHONPATH": ""})
    return python
