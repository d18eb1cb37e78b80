"""How spaCy makes the component from a config."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Config, Model
from thinc.types import Floats2d

from .checks import Floor, Scheme
from .component import TokenNER

DEFAULT_CONFIG: dict[str, Any] = {
    "scheme": "bio",
    "threshold": None,
    "candidates": None,
    "spans_key": None,
    "learn_rate_factor": 5.0,
    "label_weights": None,
    "scorer": {"@scorers": "spacy.ner_scorer.v1"},
} | Config().from_str(
    """
[model]
@architectures = "conll_ner.TokenClassifier.v1"

[model.tok2vec]
@architectures = "conll_ner.FirstWordpiece.v1"
upstream = "*"
"""
)
# Zeros for sentences: the sentencizer, which a pipeline has for its windows, would otherwise count
# as much as the mentions when training chooses the best pipeline.
SCORE_WEIGHTS = {
    "ents_f": 1.0,
    "ents_p": 0.0,
    "ents_r": 0.0,
    "ents_per_type": None,
    "sents_f": 0.0,
    "sents_p": 0.0,
    "sents_r": 0.0,
}


def make_token_ner(
    nlp: Language,
    name: str,
    model: Model[list[Doc], list[Floats2d]],
    scheme: Scheme,
    threshold: Floor | None,
    candidates: Floor | None,
    spans_key: str | None,
    learn_rate_factor: float,
    label_weights: dict[str, float] | None,
    scorer: Callable[..., Any] | None,
) -> TokenNER:
    return TokenNER(
        nlp.vocab,
        model,
        name,
        scheme=scheme,
        threshold=threshold,
        candidates=candidates,
        spans_key=spans_key,
        learn_rate_factor=learn_rate_factor,
        label_weights=label_weights,
        scorer=scorer,
    )
