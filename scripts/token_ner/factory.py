"""How spaCy makes the component from a config."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Config, Model
from thinc.types import Floats2d

from .checks import Floor, Scheme
from .component import TokenNER

DEFAULT_CONFIG = Config().from_str(
    """
[model]
@architectures = "conll_ner.TokenClassifier.v1"

[model.tok2vec]
@architectures = "conll_ner.FirstWordpiece.v1"
upstream = "*"
"""
)


def make_token_ner(
    nlp: Language,
    name: str,
    model: Model[list[Doc], list[Floats2d]],
    scheme: Scheme,
    threshold: Floor | None,
    candidates: Floor | None,
    spans_key: str | None,
    learn_rate_factor: float,
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
        scorer=scorer,
    )
