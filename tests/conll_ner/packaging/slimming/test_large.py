"""Models that are too large for one file of protobuf: their weights are apart."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import spacy

from conll_ner.packaging.slimming import quantization
from conll_ner.packaging.slimming.quantization import read_graph
from tests.token_ner.component_helpers import mentions
from token_ner.onnx_model.onnx_shim import OnnxClassifier, create_session

TEXTS = ["Ada Lindqvist left Varnholm.", "The Norden Bank fell.", "Nothing else did. " * 30]


def write_with_data(graph: bytes, path: Path) -> None:
    """Write a graph as the exporter does, with the weights in a file beside it."""
    model = onnx.load_from_string(graph)
    onnx.save(model, path, save_as_external_data=True, location="any.data")


@pytest.mark.slow
def test_weights_apart_are_saved_loaded_and_copied(
    slim_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nlp = spacy.load(slim_pipeline)
    expected = [mentions(nlp(text)) for text in TEXTS]
    assert any(expected)
    head: Any = nlp.get_pipe("token_ner")
    shim = head.model.shims[0]
    whole: OnnxClassifier = shim.classifier
    write_with_data(whole.graph, tmp_path / "whole.onnx")
    graph, weights = read_graph(tmp_path / "whole.onnx")
    assert weights == b""
    assert create_session(graph, 1)

    monkeypatch.setattr(quantization, "PROTOBUF_LIMIT", 1000)
    graph, weights = read_graph(tmp_path / "whole.onnx")
    assert len(graph) < len(whole.graph)
    for tensor in onnx.load_from_string(graph).graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            assert {e.key: e.value for e in tensor.external_data}["location"] == "weights"
    shim.classifier = replace(whole, graph=graph, weights=weights)

    nlp.to_disk(tmp_path / "apart")
    copies = [
        nlp,
        spacy.load(tmp_path / "apart"),
        spacy.load(slim_pipeline).from_bytes(nlp.to_bytes()),
        pickle.loads(pickle.dumps(nlp)),
    ]
    found = [[mentions(copy(text)) for text in TEXTS] for copy in copies]
    found.append([mentions(doc) for doc in nlp.pipe(TEXTS, n_process=2)])
    for result in found:
        for one, other in zip(result, expected, strict=True):
            assert [m[:3] for m in one] == [m[:3] for m in other]
            assert [m[3] for m in one] == pytest.approx([m[3] for m in other], abs=1e-6)


def test_a_graph_without_its_weights_is_an_error(slim_pipeline: Path, tmp_path: Path) -> None:
    head: Any = spacy.load(slim_pipeline).get_pipe("token_ner")
    write_with_data(head.model.shims[0].classifier.graph, tmp_path / "whole.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantization, "PROTOBUF_LIMIT", 1000)
        graph, weights = read_graph(tmp_path / "whole.onnx")
    with pytest.raises(Exception, match="weights"):
        create_session(graph, 1)
    assert create_session(graph, 1, weights)
