"""What can be wrong with settings and pipelines. Needs spaCy only."""

import warnings
from collections.abc import Iterable
from typing import Any

from spacy.tokens import Doc
from thinc.api import Model

LISTENER = "transformer-listener"  # the name of spacy-transformers' layer


def check_threshold(name: str, threshold: float | None) -> float | None:
    """RAISES (ValueError): If a component's threshold is neither None nor a number from 0 to 1."""
    is_number = isinstance(threshold, int | float) and 0 <= threshold <= 1
    if threshold is not None and not is_number:
        raise ValueError(f"{name}: threshold must be from 0 to 1, not {threshold}")
    return threshold


def warn_without_transformer(name: str, model: Model[Any, Any], docs: Iterable[Doc]) -> None:
    """Warn if a component listens to a transformer that is disabled or excluded: the listener then
    gives zeros, without an error."""
    if not any(node.name == LISTENER for node in model.walk()):
        return
    known = Doc.has_extension("trf_data")
    if not known or any(len(doc) and doc._.trf_data is None for doc in docs):
        warnings.warn(
            f"{name}: the documents have no output of a transformer, so the mentions are "
            "meaningless; don't disable or exclude the transformer",
            stacklevel=2,
        )
