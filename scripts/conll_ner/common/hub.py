"""Pipelines on the Hugging Face Hub."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from spacy.util import load_config

from conll_ner.common.console import InputError, shorten

NAME = r"[A-Za-z0-9][\w.-]*"
# What isn't part of a pipeline's folder, or would be code.
IGNORED = ("*.whl", "*.py", "README.md")
# Packages whose components, and names of functions that run no code of a pipeline's author: those
# of spaCy, this project and thinc, and of spacy-transformers all but those that hand settings in
# the folder to transformers, which can then load such code.
PACKAGES = ("spacy", "spacy_transformers", "token_ner")
LOADERS = "TransformerModel|Tok2VecTransformer"
SAFE = re.compile(rf"(conll_ner|spacy)\..+|\w+\.v\d+|spacy-transformers\.(?!{LOADERS}).+")


REASONS = {
    401: "it doesn't exist, or HF_TOKEN is missing or wrong",
    403: "HF_TOKEN has no permission for it",
    404: "it doesn't exist, or HF_TOKEN may not see it",
}


def is_hub_id(name: str, *, with_owner: bool = True) -> bool:
    """RETURNS (bool): Whether a name is OWNER/NAME, and neither a path that exists nor one in a
    folder that does.

    with_owner (bool): False also takes NAME alone, as the first models have it, such as
        bert-base-cased.
    """
    path = Path(name)
    place = path.parent if "/" in name else path
    pattern = f"{NAME}/{NAME}" if with_owner else f"({NAME}/)?{NAME}"
    return re.fullmatch(pattern, name) is not None and not place.exists()


def download_pipeline(hub_id: str) -> Path:
    """Download a pipeline's folder, or take it from the cache of `huggingface_hub`.

    RAISES (InputError): If the hub or the pipeline can't be reached, or its config could run code
        of its author.
    """
    from huggingface_hub import snapshot_download  # slow to import, and not needed for folders

    with hub_errors(f"{hub_id} is no folder, and not had from the hub"):
        folder = Path(snapshot_download(hub_id, ignore_patterns=list(IGNORED)))
    if not (folder / "config.cfg").is_file():
        raise InputError(f"{hub_id} on the hub is not a pipeline: it has no config.cfg")
    check_config(folder / "config.cfg", hub_id)
    return folder


def check_config(path: Path, hub_id: str) -> None:
    """RAISES (InputError): If a config can't be read, or names a component or function that could
    run code of the pipeline's author."""
    try:
        config = load_config(path, interpolate=True)
    except ValueError as error:
        raise InputError(f"{path}: not a config: {shorten(str(error))}") from None
    foreign = {
        entry.name
        for entry in entry_points(group="spacy_factories")
        if entry.module.partition(".")[0] not in PACKAGES
    }
    names = list(find_functions([config.get("nlp"), config.get("components")]))
    refused = [name for kind, name in names if kind != "factory" and not SAFE.fullmatch(name)]
    refused += [name for kind, name in names if kind == "factory" and name in foreign]
    for name, component in config.get("components", {}).items():
        if "factory" not in component:
            refused.append(f"{name} of another pipeline")
    if refused:
        raise InputError(
            f"{hub_id} on the hub uses {shorten(refused[0])}, which could run code of its author; "
            f"if you trust them, pass its folder: {path.parent}"
        )


def find_functions(value: Any) -> Iterator[tuple[str, str]]:
    """YIELDS (tuple[str, str]): Each key of a config that names a function or factory, with the
    name."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "factory" or str(key).startswith("@"):
                yield str(key), str(each)
            yield from find_functions(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from find_functions(each)


@contextmanager
def hub_errors(subject: str) -> Iterator[None]:
    """Raise what `huggingface_hub` raises as an InputError of one line. subject: its start."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except (InputError, HFValidationError) as error:
        raise InputError(f"{subject}: {shorten(str(error), 200)}") from None
    except Exception as error:  # of requests, or from huggingface_hub 1 on of httpx
        response = error.response if isinstance(error, HfHubHTTPError) else None
        if response is not None:
            reason = REASONS.get(response.status_code) or shorten(str(error), 200)
        elif isinstance(error, OSError) or type(error).__module__.startswith("httpx"):
            reason = f"{constants.ENDPOINT} can't be reached"
        else:
            raise
        raise InputError(f"{subject}: {reason}") from None
