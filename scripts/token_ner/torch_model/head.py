"""The head: a distribution over labels for the first wordpiece of each word."""

from collections.abc import Callable
from typing import Any, cast

import numpy
from spacy.tokens import Doc
from spacy_transformers.data_classes import TransformerData
from spacy_transformers.layers import TransformerListener
from thinc.api import Dropout, Linear, Model, Ops, chain, with_array
from thinc.types import Floats2d
from transformers.modeling_outputs import BaseModelOutput

from ..types import Array, ModelArray
from .forward import to_torch


def build_token_classifier(
    tok2vec: Model[list[Doc], list[Floats2d]],
    nO: int | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """Dropout and one linear layer on word vectors. The output has one row of logits per word.

    tok2vec (Model): Any layer that gives one vector per word.
    nO (int | None): The number of labels; set when the component is initialized.
    """
    output = Linear(nO=nO)
    head: Model[Any, Any] = chain(Dropout(), output)
    model: Model[list[Doc], list[Floats2d]] = chain(tok2vec, with_array(head))
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("output", output)
    return model


def build_first_wordpiece(upstream: str = "*") -> Model[list[Doc], list[Floats2d]]:
    """The vectors of the words' first wordpieces, from a `transformer` earlier in the pipeline.

    upstream (str): The transformer's name in the pipeline; "*" for any.
    """
    listener = TransformerListener(upstream_name=upstream)
    model: Model[list[Doc], list[Floats2d]] = chain(listener, first_wordpiece())
    model.set_ref("listener", listener)
    return model


def first_wordpiece() -> Model[list[TransformerData], list[Floats2d]]:
    """A layer that selects the first wordpiece of each word; zeros for words without wordpieces,
    such as whitespace."""
    return Model("first-wordpiece", forward_first_wordpiece)


def forward_first_wordpiece(
    model: Model[list[TransformerData], list[Floats2d]],
    datas: list[TransformerData],
    is_train: bool,  # noqa: ARG001
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[TransformerData]]]:
    ops = model.ops
    filled = [data for data in datas if "last_hidden_state" in data.model_output]
    if not filled:
        return [ops.alloc2f(0, 0) for _ in datas], lambda _: []
    shapes = [data.model_output.last_hidden_state.shape for data in filled]
    width = shapes[0][-1]
    flat = [data.model_output.last_hidden_state.reshape(-1, width) for data in filled]
    rows = ops.asarray1i(cast(Any, first_rows(ops, filled, [len(part) for part in flat])))
    vectors = select_rows(ops, flat, rows, [len(data.align.lengths) for data in filled])
    outputs = split(vectors, [len(data.align.lengths) for data in datas])

    def backprop(d_outputs: list[ModelArray]) -> list[TransformerData]:
        d_states = ops.alloc2f(sum(map(len, flat)) + 1, width)
        # Adding: two words can share a wordpiece of spacy-transformers' own model. By torch, since
        # thinc's scatter_add calls a function that CuPy 14 deprecates.
        gradients = to_torch(ops.xp.concatenate(d_outputs))
        to_torch(d_states).index_add_(0, to_torch(rows), gradients)
        parts = split(d_states, [len(part) for part in flat])
        # As spacy-transformers' own layer: empty documents have no gradient.
        return [
            TransformerData(
                wordpieces=data.wordpieces,
                model_output=BaseModelOutput(last_hidden_state=part.reshape(shape)),
                align=data.align,
            )
            for data, part, shape in zip(filled, parts, shapes, strict=True)
        ]

    return outputs, backprop


def first_rows(ops: Ops, datas: list[TransformerData], n_rows: list[int]) -> Array:
    """RETURNS (Array): For each word, the row of its first wordpiece among those of all documents;
    the row after all for words without wordpieces. n_rows: rows of each document."""
    parts = []
    before = 0
    for data, n in zip(datas, n_rows, strict=True):
        lengths = ops.to_numpy(data.align.lengths)
        indices = ops.to_numpy(data.align.dataXd)
        first = numpy.append(indices, 0)[numpy.cumsum(lengths) - lengths]
        parts.append(numpy.where(lengths > 0, before + first, sum(n_rows)))
        before += n
    return numpy.concatenate(parts)


def select_rows(
    ops: Ops, parts: list[ModelArray], rows: ModelArray, n_words: list[int]
) -> ModelArray:
    """Select a row for each word; zeros for the row after all.

    parts (list[ModelArray]): The rows of each document, (n_rows, width).
    rows (ModelArray): As returned by `first_rows`.
    n_words (list[int]): Of each document.
    RETURNS (ModelArray): (n_words of all, width).
    """
    if not isinstance(parts[0], numpy.ndarray):  # on a GPU, one call for all documents
        return ops.xp.concatenate([*parts, ops.alloc2f(1, parts[0].shape[1])])[rows]
    # On a CPU, joining the documents first would copy all their wordpieces.
    vectors = numpy.empty((len(rows), parts[0].shape[1]), dtype=parts[0].dtype)
    first = before = 0
    for part, n in zip(parts, n_words, strict=True):
        own = slice(first, first + n)
        part.take(rows[own] - before, axis=0, out=vectors[own], mode="clip")
        first, before = first + n, before + len(part)
    vectors[rows == before] = 0.0
    return vectors


def split(array: ModelArray, lengths: list[int]) -> list[ModelArray]:
    """RETURNS (list[ModelArray]): Views of consecutive rows."""
    ends = numpy.cumsum(lengths).tolist()
    return [array[end - n : end] for n, end in zip(lengths, ends, strict=True)]
