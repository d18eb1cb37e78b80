"""The head: a distribution over labels for the first wordpiece of each word."""

from collections.abc import Callable
from typing import Any, cast

import numpy
from spacy.tokens import Doc
from spacy_transformers.data_classes import TransformerData
from spacy_transformers.layers import TransformerListener
from thinc.api import Dropout, Linear, Model, chain, with_array
from thinc.types import Floats2d
from transformers.modeling_outputs import BaseModelOutput

from .component import ModelArray
from .wordpieces import Array


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
    outputs = []
    sources: list[tuple[Any, Array, Array] | None] = []
    for data in datas:
        if "last_hidden_state" not in data.model_output:  # an empty document
            outputs.append(model.ops.alloc2f(0, 0))
            sources.append(None)
            continue
        states = data.model_output.last_hidden_state
        lengths = model.ops.to_numpy(data.align.lengths)
        words = numpy.flatnonzero(lengths)
        indices = model.ops.to_numpy(data.align.dataXd)
        pieces = indices[(numpy.cumsum(lengths) - lengths)[words]]
        vectors: ModelArray = model.ops.alloc2f(len(lengths), states.shape[-1])
        vectors[words] = states.reshape(-1, states.shape[-1])[pieces]
        outputs.append(vectors)
        sources.append((states, words, pieces))

    def backprop(d_outputs: list[ModelArray]) -> list[TransformerData]:
        gradients = []
        for data, source, d_vectors in zip(datas, sources, d_outputs, strict=True):
            if source is None:
                continue  # as spacy-transformers' own layer: empty documents have no gradient
            states, words, pieces = source
            d_states = model.ops.alloc(states.shape, dtype=states.dtype)
            # Adding: two words can share a wordpiece of spacy-transformers' own model.
            flat = d_states.reshape(-1, states.shape[-1])
            model.ops.scatter_add(flat, model.ops.asarray1i(cast(Any, pieces)), d_vectors[words])
            gradients.append(
                TransformerData(
                    wordpieces=data.wordpieces,
                    model_output=BaseModelOutput(last_hidden_state=d_states),
                    align=data.align,
                )
            )
        return gradients

    # An empty document's vectors have the width of the others, so that they can be stacked.
    width = max((output.shape[1] for output in outputs), default=0)
    return [o if o.shape[1] else model.ops.alloc2f(0, width) for o in outputs], backprop
