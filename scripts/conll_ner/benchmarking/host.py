"""Measure what the host does for every word: all but the transformer, which is played back.

On a GPU, and for a slim pipeline of few layers, this is what limits the speed.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry

from conll_ner.common.pipelines import find_components, find_heads
from conll_ner.evaluation.seqeval_scores import copy_words
from token_ner import TokenNER, component, decoding
from token_ner.checks import ONNX_CLASSIFIER
from token_ner.onnx_model import onnx_classifier
from token_ner.onnx_model.onnx_shim import OnnxShim
from token_ner.torch_model import forward
from token_ner.wordpieces import WordEncoder

ONE_BATCH = 10**6  # wordpieces: a batch isn't cut, so that nothing is recomputed for its gradient
# By stage, the functions whose time it is; a stage doesn't include those that it calls.
STAGES: dict[str, list[tuple[Any, str]]] = {
    "wordpieces": [(WordEncoder, "encode_docs")],
    "windows": [(forward, "make_batches"), (onnx_classifier, "make_batches")],
    "copies": [
        *((forward, name) for name in ("run_batches", "backward_batches", "split_by_doc")),
        (onnx_classifier, "classify_words"),
    ],
    "lattice": [(decoding, "Paths"), *((decoding.Chain, name) for name in ("best", "candidates"))],
    "decoding": [(TokenNER, "decode_docs")],
    "annotations": [(TokenNER, "set_annotations")],
    "gold": [(component, "make_targets")],
    "loss": [(TokenNER, "get_loss")],
}


class Playback:
    """Runs the transformer once, and later gives the outputs again in the same order.

    run (Callable): Runs it, on torch or on ONNX Runtime.
    """

    def __init__(self, run: Callable[..., Any]) -> None:
        self.run = run
        self.outputs: list[Any] = []
        self.remaining: Iterator[Any] | None = None

    def rewind(self) -> None:
        self.remaining = iter(self.outputs)

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        if self.remaining is None:
            output = self.run(*inputs, **settings)
            self.outputs.append(deepcopy(output.detach() if "is_train" in settings else output))
            return output
        output = next(self.remaining)
        is_torch = isinstance(output, torch.Tensor)
        return output.detach().requires_grad_(settings["is_train"]) if is_torch else output


class Clock:
    """Seconds by stage, without those of stages inside."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.inner = [0.0]

    def time(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **settings: Any) -> Any:
            self.inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*arguments, **settings)
            finally:
                total = time.perf_counter() - start
                self.seconds[stage] += total - self.inner.pop()
                self.inner[-1] += total

        return timed


def is_slim(nlp: Language) -> bool:
    return any(head.model.name == ONNX_CLASSIFIER for head in find_heads(nlp).values())


@contextmanager
def timed_stages(nlp: Language, clock: Clock) -> Iterator[None]:
    """Time the stages within the block."""
    (head,) = find_heads(nlp).values()
    own: dict[str, list[tuple[Any, str]]] = {
        "tokenizer": [(nlp, "make_doc")],
        "head": [(head.model, "_func")],
    }
    with ExitStack() as stack:
        for stage, functions in (STAGES | own).items():
            for owner, name in functions:
                timed = clock.time(stage, getattr(owner, name))
                stack.enter_context(patch.object(owner, name, as_method(owner, timed)))
        yield


def as_method(owner: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """RETURNS (Callable): A function that Python binds to instances if the owner is a class."""
    if not isinstance(owner, type):
        return function
    return lambda self, *arguments, **settings: function(self, *arguments, **settings)


def measure(nlp: Language, run: Callable[[], object], passes: int) -> dict[str, float]:
    """RETURNS (dict[str, float]): Seconds of the fastest pass, by stage; `rest` is all that isn't
    in a stage, `all` is their sum."""
    owner, name = (OnnxShim, "run") if is_slim(nlp) else (forward, "run_transformer")
    playback = Playback(getattr(owner, name))
    best: dict[str, float] = {"all": float("inf")}
    with patch.object(owner, name, as_method(owner, playback)):
        run()
        for _ in range(passes):
            playback.rewind()
            clock = Clock()
            with timed_stages(nlp, clock):
                start = time.perf_counter()
                run()
                total = time.perf_counter() - start
            if total < best["all"]:
                rest = total - sum(clock.seconds.values())
                best = {**clock.seconds, "rest": rest, "all": total}
    return best


def measure_prediction(
    nlp: Language, texts: Sequence[str], batch_size: int, passes: int
) -> dict[str, float]:
    """RETURNS (dict[str, float]): Microseconds per word of `nlp.pipe` on texts, by stage."""
    words = sum(len(nlp.make_doc(text)) for text in texts)

    def run() -> None:
        for _ in nlp.pipe(texts, batch_size=batch_size):
            pass

    return {stage: 1e6 * s / words for stage, s in measure(nlp, run, passes).items()}


def measure_training(
    nlp: Language, gold: Sequence[Doc], batch_words: int, passes: int
) -> dict[str, float]:
    """RETURNS (dict[str, float]): Microseconds per word of `nlp.update`, without the optimizer, in
    batches of `batch_words` words, by stage."""
    (transformer,) = find_components(nlp, "transformer").values()
    attrs = transformer.model.attrs
    attrs["windowing"] = replace(attrs["windowing"], batch_wordpieces=ONE_BATCH)
    batches: list[list[Doc]] = [[]]
    for doc in gold:
        if sum(map(len, batches[-1])) >= batch_words:
            batches.append([])
        batches[-1].append(doc)

    def run() -> None:
        for batch in batches:
            examples = [Example(copy_words(doc, nlp), doc) for doc in batch]
            nlp.update(examples, sgd=no_optimizer, drop=0.1, annotates=["sentencizer"])

    words = sum(map(len, gold))
    no_optimizer: Any = False
    return {stage: 1e6 * s / words for stage, s in measure(nlp, run, passes).items()}


def measure_reading(nlp: Language, path: Path, passes: int) -> float:
    """RETURNS (float): Microseconds per word of reading the training corpus once more, with the
    augmenter of the pipeline's config."""
    config = nlp.config.interpolate()["corpora"]["train"] | {"path": str(path), "limit": 0}
    config |= {"taught": None} if "taught" in config else {}
    corpus = registry.resolve({"corpus": config})["corpus"]
    seconds = []
    for _ in range(passes + 1):  # the first one fills the vocabulary
        start = time.perf_counter()
        words = sum(len(example.reference) for example in corpus(nlp))
        seconds.append((time.perf_counter() - start) / words)
    return 1e6 * min(seconds[1:])
