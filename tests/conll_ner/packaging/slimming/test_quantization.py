"""Weights in 8 bits: what a text gets doesn't depend on the other texts of its batch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.packaging.slimming.quantization import quantize, read_graph
from tests.token_ner.component_helpers import mentions

WORDS = ["Ada", "Lindqvist", "left", "Varnholm", ".", "NORDEN", "Bank", "1998", "x" * 30, "\n"]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def int8(slim_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Language:
    """The slim pipeline in 8 bits."""
    folder = tmp_path_factory.mktemp("int8")
    nlp = spacy.load(slim_pipeline)
    head: Any = nlp.get_pipe("token_ner")
    shim = head.model.shims[0]
    (folder / "float32.onnx").write_bytes(shim.classifier.graph)
    quantize(folder / "float32.onnx", folder / "int8.onnx")
    graph, _ = read_graph(folder / "int8.onnx")
    shim.classifier = replace(shim.classifier, graph=graph, precision="int8")
    return nlp


@settings(max_examples=20)
@given(st.lists(texts, min_size=2, max_size=12), st.integers(1, 2000))
def test_int8_mentions_and_scores_do_not_depend_on_the_batch(
    int8: Language, batch: list[list[str]], size: int
) -> None:
    head: Any = int8.get_pipe("token_ner")
    head.model.attrs["windowing"] = replace(head.model.attrs["windowing"], batch_wordpieces=size)
    docs = [Doc(int8.vocab, words=words) for words in batch]
    alone = [mentions(head(Doc(int8.vocab, words=words))) for words in batch]
    for doc, expected in zip(head.pipe(docs, batch_size=len(docs)), alone, strict=True):
        found = mentions(doc)
        assert [m[:3] for m in found] == [m[:3] for m in expected]
        assert [m[3] for m in found] == pytest.approx([m[3] for m in expected], abs=1e-3)


def test_int8_is_near_float32(int8: Language, slim_pipeline: Path) -> None:
    """With random weights, which spread more than trained ones."""
    docs = [Doc(int8.vocab, words=WORDS * n) for n in (1, 3)]
    exact, rough = (
        numpy.concatenate(nlp.get_pipe("token_ner").model.predict(docs))  # type: ignore[attr-defined]
        for nlp in (spacy.load(slim_pipeline), int8)
    )
    error = numpy.sqrt(numpy.square(exact - rough).mean())
    assert 0 < error < 0.1 * exact.std()


def test_int8_has_no_scale_of_a_batch(int8: Language) -> None:
    head: Any = int8.get_pipe("token_ner")
    graph = onnx.load_from_string(head.model.shims[0].classifier.graph).graph
    kinds = [node.op_type for node in graph.node]
    assert "DynamicQuantizeLinear" not in kinds
    assert kinds.count("MatMulIntegerToFloat") == 13  # 2 layers of 6, and the head
