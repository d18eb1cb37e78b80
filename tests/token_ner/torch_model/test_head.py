"""The first wordpiece of every word: forward and backward."""

from pathlib import Path

import numpy
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vocab import Vocab
from transformers.modeling_outputs import BaseModelOutput

from tests.token_ner.support import build
from token_ner.torch_model.head import forward_first_wordpiece


def test_first_wordpiece_takes_and_returns_the_first(tiny_backbone: Path, vocab: Vocab) -> None:
    docs = [Doc(vocab, words=["Ada", "\n", "x"]), Doc(vocab)]
    datas = build(tiny_backbone).predict(docs).doc_data
    layer = registry.architectures.get("conll_ner.FirstWordpiece.v1")().layers[1]
    (vectors, none), backprop = forward_first_wordpiece(layer, datas, True)
    states = datas[0].model_output.last_hidden_state[0]
    numpy.testing.assert_array_equal(vectors, [states[0], numpy.zeros(32), states[3]])
    assert none.shape == (0, 32)
    gradient = numpy.arange(3 * 32, dtype="float32").reshape(3, 32)
    (d_data,) = backprop([gradient, none])  # type: ignore[list-item]
    expected = numpy.zeros((1, 4, 32))
    expected[0, [0, 3]] = gradient[[0, 2]]
    numpy.testing.assert_array_equal(d_data.model_output.last_hidden_state, expected)


def test_gradients_of_words_that_share_a_wordpiece_are_added(
    tiny_backbone: Path, vocab: Vocab
) -> None:
    """As in spacy-transformers' own alignment, where a wordpiece can belong to two words."""
    (data,) = build(tiny_backbone).predict([Doc(vocab, words=["Ada", "x"])]).doc_data
    layer = registry.architectures.get("conll_ner.FirstWordpiece.v1")().layers[1]
    data.align.dataXd[:] = 0
    (vectors,), backprop = forward_first_wordpiece(layer, [data], True)
    numpy.testing.assert_array_equal(*vectors)
    gradient = numpy.arange(2 * 32, dtype="float32").reshape(2, 32)
    (d_data,) = backprop([gradient])  # type: ignore[list-item]
    d_states = d_data.model_output.last_hidden_state[0]
    numpy.testing.assert_array_equal(d_states[0], gradient.sum(axis=0))
    assert not d_states[1:].any()


def test_first_wordpiece_works_with_spacy_transformers_own_model(
    tiny_backbone: Path, vocab: Vocab
) -> None:
    """Whose windows overlap: a word's first wordpiece is that of its first window."""
    get_spans = registry.get("span_getters", "spacy-transformers.strided_spans.v1")(4, 2)
    build_model = registry.architectures.get("spacy-transformers.TransformerModel.v3")
    model = build_model(str(tiny_backbone), get_spans, tokenizer_config={"use_fast": True})
    model.initialize()
    datas = model.predict([Doc(vocab, words=list("abcdefg"))]).doc_data
    layer = registry.architectures.get("conll_ner.FirstWordpiece.v1")().layers[1]
    (vectors,), backprop = forward_first_wordpiece(layer, datas, True)
    assert vectors.shape == (7, 32)
    (d_data,) = backprop([vectors])
    assert d_data.model_output.last_hidden_state.shape == (
        datas[0].model_output.last_hidden_state.shape
    )
    assert isinstance(d_data.model_output, BaseModelOutput)
