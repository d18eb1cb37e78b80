"""Load pipelines for the commands."""

import traceback
from collections import deque
from pathlib import Path
from typing import Any, cast

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model, require_gpu

from conll_ner.common.console import InputError, shorten
from conll_ner.common.device import resolve_device
from token_ner import ONNX_CLASSIFIER, WINDOWED_TRANSFORMER, TokenNER
from token_ner.checks import TRF_DATA


def load_pipeline(path: str) -> Language:
    """Load a pipeline from a folder or an installed package, and let it annotate a text.

    RAISES (InputError): If it isn't a pipeline, or is damaged.
    RAISES (ImportError): If it needs a package that isn't installed.
    """
    try:
        nlp = spacy.load(path)
        try_pipeline(nlp)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # also a panic of the tokenizer, which is in Rust
        if isinstance(error, ImportError) and error.name:
            raise
        reason = shorten(" ".join(str(error).split()), 300) or "no reason given"
        if isinstance(error, OSError) and not (Path(path) / "config.cfg").is_file():
            raise InputError(
                f"{path} is not a pipeline: pass a folder that training wrote "
                f"(training/…/model-best) or an installed package ({reason})"
            ) from None
        raise InputError(
            f"{find_file(error, Path(path))}: the pipeline is damaged, or made for other versions "
            f"({type(error).__name__}: {reason})"
        ) from None
    return nlp


def try_pipeline(nlp: Language) -> None:
    """Let a pipeline annotate two texts: much of its data is used then for the first time. Any
    error that it has is raised."""
    with nlp.memory_zone():
        deque(nlp.pipe(["Ada left.\n", "Varnholm"]), maxlen=0)


def drop_transformer_output(doc: Doc) -> None:
    """Delete what takes a hundred times the text's size, and leave the scores of mentions. That of
    many documents would not fit on a GPU."""
    cast(dict[Any, Any], doc.user_data).pop(TRF_DATA, None)


def find_file(error: BaseException, folder: Path) -> Path:
    """RETURNS (Path): The file in a folder that was being read when an error was raised: the
    deepest path among the local variables of the innermost function that has one; else the folder.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        values = frame.f_locals
        paths = [value for value in values.values() if isinstance(value, Path)]
        # spaCy's from_disk reads `key` in `path`.
        paths += [path / values["key"] for path in paths if isinstance(values.get("key"), str)]
        inside = [path for path in paths if folder in path.parents]
        if inside:
            return max(inside, key=lambda path: len(path.parts))
    return folder


def load_on_device(path: str, device: str) -> tuple[Language, int]:
    """Load a pipeline on the device of the option `--device`.

    RETURNS (tuple[Language, int]): The pipeline, and spaCy's GPU id: -1 for the CPU.
    RAISES (InputError): If the pipeline or the device doesn't exist.
    """
    gpu = resolve_device(device)
    if gpu >= 0:
        require_gpu(gpu)
    return load_pipeline(path), gpu


def find_components(nlp: Language, factory: str) -> dict[str, Any]:
    """RETURNS (dict[str, Pipe]): The components of a pipeline with this factory, by name."""
    names = [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory == factory]
    return {name: nlp.get_pipe(name) for name in names}


def find_single(nlp: Language, factory: str, path: str, role: str) -> tuple[str, Any]:
    """RETURNS (tuple[str, Pipe]): Name and component of the only one with this factory.
    RAISES (InputError): If the pipeline has none, or several. role: what needs one, for the
        message."""
    found = find_components(nlp, factory)
    if len(found) != 1:
        raise InputError(f"{path} has {len(found)} {factory} components; {role} has one")
    return next(iter(found.items()))


def find_heads(nlp: Language) -> dict[str, TokenNER]:
    """RETURNS (dict[str, TokenNER]): The `token_ner` components of a pipeline, by name."""
    return find_components(nlp, "token_ner")


def find_single_head(nlp: Language, path: str, role: str) -> tuple[str, TokenNER]:
    """RETURNS (tuple[str, TokenNER]): As `find_single`, of the only `token_ner`."""
    return find_single(nlp, "token_ner", path, role)


def entity_types(nlp: Language) -> set[str]:
    """RETURNS (set[str]): The types of the mentions that components can find; not other labels,
    such as part-of-speech tags."""
    return {
        label
        for name, labels in nlp.pipe_labels.items()
        if "doc.ents" in nlp.get_pipe_meta(name).assigns
        for label in labels
    }


def describe_runtime(nlp: Language) -> dict[str, str]:
    """RETURNS (dict[str, str]): `runtime` ("torch" or "onnxruntime") and `precision` of the
    transformer; empty without one that this project knows."""
    for _, component in nlp.pipeline:
        model: Any = getattr(component, "model", None)
        for node in model.walk() if isinstance(model, Model) else ():
            shim: Any = next(iter(node.shims), None)
            if node.name == ONNX_CLASSIFIER:
                return {"runtime": "onnxruntime", "precision": shim.classifier.precision}
            if node.name == WINDOWED_TRANSFORMER:
                precision = resolve_precision(node.attrs["windowing"].precision, shim.device)
                return {"runtime": "torch", "precision": precision}
    return {}


def resolve_precision(precision: str, device: Any) -> str:
    """RETURNS (str): What "auto" is on a device, or the precision itself."""
    from token_ner.torch_model.forward import has_bfloat16  # needs torch

    if precision != "auto":
        return precision
    return "bfloat16" if has_bfloat16(device) else "float32"
