"""Fixtures for the tests of the component: a trained pipeline, and a component on HashEmbedCNN."""

from pathlib import Path

import pytest
import spacy
from spacy.language import Language

from tests.token_ner.component_helpers import make_examples, make_trained
from token_ner import TokenNER


@pytest.fixture(scope="module")
def trained(tiny_backbone: Path) -> Language:
    return make_trained(tiny_backbone)[0]


@pytest.fixture
def head(vocab: spacy.vocab.Vocab) -> TokenNER:
    """A component on a tok2vec of spaCy's own, for what doesn't need a transformer."""
    nlp = spacy.blank("en", vocab=vocab)
    tok2vec = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": 8,
        "depth": 1,
        "embed_size": 20,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": True,
    }
    model = {"@architectures": "conll_ner.TokenClassifier.v1", "tok2vec": tok2vec}
    ner = nlp.add_pipe("token_ner", config={"model": model})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    assert isinstance(ner, TokenNER)
    return ner
