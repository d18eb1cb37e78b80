"""Start a training from the weights of a trained pipeline. Needs spaCy only, until it is used."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import spacy
from spacy.language import Language

from ..component import TokenNER

LAYER = re.compile(r"\.\d+\.")


def create_start_from(pipeline: Path | None = None) -> Callable[[Language], Language]:
    """A callback for `initialize.after_init`: copies the weights of the transformer, and those of
    the head for all labels that both have. Other labels keep their random weights.

    pipeline (Path | None): A pipeline of the same config and backbone, or with more layers of
        it, the first of which are taken; None changes nothing.
    RAISES (ValueError): From the callback, if the pipeline has other components or another
        backbone.
    """

    def start(nlp: Language) -> Language:
        if pipeline is not None:
            copy_weights(spacy.load(pipeline), nlp, str(pipeline))
        return nlp

    return start


def first_layers(weights: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Weights without those of layers that a model doesn't have: the
    names of layers differ in their number only, as `encoder.layer.5.output.dense.bias`."""
    kinds = {LAYER.sub("", name) for name in model}

    def is_later(name: str) -> bool:
        return LAYER.search(name) is not None and LAYER.sub("", name) in kinds

    return {name: w for name, w in weights.items() if name in model or not is_later(name)}


def copy_weights(source: Language, target: Language, path: str) -> None:
    for name in ("transformer", "token_ner"):
        if name not in source.component_names or name not in target.component_names:
            raise ValueError(f"{path}: to start from it, both pipelines need a {name}")
    old, new = (cast(Any, nlp.get_pipe("transformer")).model.shims[0] for nlp in (source, target))
    try:
        new._model.load_state_dict(first_layers(old._model.state_dict(), new._model.state_dict()))
    except RuntimeError as error:
        raise ValueError(
            f"{path} has another backbone than this training: {str(error).splitlines()[0]}"
        ) from None
    old_head, head = (cast(TokenNER, nlp.get_pipe("token_ner")) for nlp in (source, target))
    old_output, output = (each.model.get_ref("output") for each in (old_head, head))
    rows = {label: row for row, label in enumerate(old_head.word_labels)}
    for name in ("W", "b"):
        values, old_values = (cast(Any, each.get_param(name)) for each in (output, old_output))
        values = values.copy()
        for row, label in enumerate(head.word_labels):
            if label in rows:
                values[row] = output.ops.asarray(old_values[rows[label]])
        output.set_param(name, values)
