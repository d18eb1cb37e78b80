"""What can be wrong with settings and pipelines. Needs spaCy only."""

import warnings
from collections.abc import Iterable
from typing import Any, cast

from spacy.tokens import Doc, Span
from thinc.api import Model

LISTENER = "transformer-listener"  # the name of spacy-transformers' layer
ONNX_CLASSIFIER = "onnx-token-classifier"  # the name of a slim pipeline's model
UNTRAINABLE = (
    "a slim pipeline can't be trained: train the pipeline that it was made from, and run "
    "spacy ner slim again"
)
TRF_DATA = ("._.", "trf_data", None, None)  # where doc._.trf_data is, which takes longer to read


def check_threshold(name: str, threshold: float | None) -> float | None:
    """RAISES (ValueError): If a component's threshold is neither None nor a number from 0 to 1."""
    is_number = isinstance(threshold, int | float) and 0 <= threshold <= 1
    if threshold is not None and not is_number:
        raise ValueError(f"{name}: threshold must be from 0 to 1, not {threshold}")
    return threshold


def check_trainable(name: str, model: Model[Any, Any]) -> None:
    """RAISES (ValueError): If a component is that of a slim pipeline."""
    if model.name == ONNX_CLASSIFIER:
        raise ValueError(f"{name}: {UNTRAINABLE}")


def warn_without_transformer(name: str, model: Model[Any, Any], docs: Iterable[Doc]) -> None:
    """Warn if a component listens to a transformer that is disabled or excluded: the listener then
    gives zeros, without an error."""
    if not any(node.name == LISTENER for node in model.walk()):
        return
    if any(len(doc) and cast(Any, doc.user_data).get(TRF_DATA) is None for doc in docs):
        warnings.warn(
            f"{name}: the documents have no output of a transformer, so the mentions are "
            "meaningless; don't disable or exclude the transformer",
            stacklevel=2,
        )


def has_own_score() -> bool:
    """RETURNS (bool): Whether `ent._.score` is defined, and by a copy of this package."""
    _, _, getter, _ = Span.get_extension("score") or (None, None, None, None)
    return getattr(getter, "is_token_ner", False)


def warn_without_score(name: str) -> None:
    """Warn if an app has a `Span` extension `score` of its own, from before the package was
    imported, or set with `force=True` since. It stays as it is."""
    if not has_own_score():
        package = __name__.rpartition(".")[0]
        warnings.warn(
            f"{name}: ent._.score is not the score of a mention, because the `Span` extension "
            f"`score` is not token_ner's; rename that extension, or call {package}.span_score(ent)",
            stacklevel=1,  # always this line, so that Python shows it once
        )
