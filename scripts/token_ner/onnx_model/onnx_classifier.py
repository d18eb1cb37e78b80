"""The model of a slim pipeline: transformer and head in one, on ONNX Runtime. Needs no torch."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..checks import ONNX_CLASSIFIER, UNTRAINABLE
from ..saving import LargeModel
from ..truecasing import TRUECASER, Truecaser, find_changes
from ..types import Array
from ..windows import Windowing, make_batches, window_size
from .onnx_shim import MAX_THREADS, OnnxShim

# ONNX Runtime compiles nothing for a shape, so there may be many. Padding of a few wordpieces costs
# as much as another batch: measured for MiniLM in int8 on one thread, where 8, 12 and 16 are equal.
PAD_MULTIPLE, BATCH_COST = 1, 12


def build_onnx_token_classifier(
    window: int | None = None,
    context: int = 0,
    sentence_windows: bool = False,
    batch_wordpieces: int = 512,
    threads: int | None = None,
    truecase: bool | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """TokenClassifier, FirstWordpiece and WindowedTransformer in one, without torch. The output has
    one row of logits per word. spacy ner slim makes the weights; they can't be trained.

    threads (int | None): Threads of ONNX Runtime, at most MAX_THREADS. None is the environment's
        OMP_NUM_THREADS, else one a core; and one in a process that another one started by
        multiprocessing or fork, as in nlp.pipe(n_process=2).
    The other arguments are documented in Windowing.
    """
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads must be from 1 to {MAX_THREADS}, or null, not {threads}")
    model: Model[list[Doc], list[Floats2d]] = LargeModel(
        ONNX_CLASSIFIER,
        forward_onnx,
        dims={"nO": None},
        attrs={
            "windowing": Windowing(
                window, context, batch_wordpieces, "float32", sentence_windows, truecase
            ),
            TRUECASER: Truecaser(),
        },
        shims=[OnnxShim(threads)],
    )
    model.set_ref("output", model)  # whose nO is the number of labels
    return model


def forward_onnx(
    model: Model[list[Doc], list[Floats2d]], docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[Any], Any]]:
    if is_train:
        raise ValueError(UNTRAINABLE)
    shim, changes = cast(OnnxShim, model.shims[0]), find_changes(model, docs)
    logits = classify_words(shim, docs, changes, model.attrs["windowing"])
    ends = numpy.cumsum([len(doc) for doc in docs])[:-1].tolist()
    # On a GPU, if spaCy uses one for the other components.
    parts = [model.ops.asarray2f(cast(Any, part)) for part in numpy.split(logits, ends)]
    return parts, backprop


def backprop(d_logits: Any) -> Any:  # noqa: ARG001
    raise ValueError(UNTRAINABLE)


def classify_words(
    shim: OnnxShim, docs: list[Doc], changes: Mapping[int, str], windowing: Windowing
) -> Array:
    """RETURNS (Array): The logits of all words of the documents, one after another,
        (n_words, n_labels). changes: of `find_changes`.
    RAISES (ValueError): As `window_size`."""
    classifier, loaded = shim.classifier, shim.load()
    size = window_size(classifier.maximum, loaded.specials, windowing)
    limit = size - sum(map(len, loaded.specials)) - 2 * windowing.context
    wordpieces = loaded.encoder.encode_docs(docs, limit, changes)
    batches = make_batches(
        docs, wordpieces, loaded.specials, size, windowing, classifier.pad, PAD_MULTIPLE, BATCH_COST
    )
    lengths = wordpieces.lengths
    with_wordpieces = numpy.flatnonzero(lengths)
    word_of = numpy.full(len(wordpieces.ids), -1)  # of each word's first wordpiece
    word_of[(numpy.cumsum(lengths) - lengths)[with_wordpieces]] = with_wordpieces
    logits = numpy.repeat(loaded.empty, len(lengths), axis=0)
    for batch in batches:
        words = word_of[batch.wordpieces]
        logits[words[words >= 0]] = shim.run(batch.inputs, batch.cells[words >= 0])
    return logits
