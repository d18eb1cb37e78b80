"""Models that are too large for one file of protobuf: their weights are apart."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import spacy

from slimming import quantization
from slimming.quantization import read_graph
from tests.token_ner.component_helpers import mentions
from token_ner.onnx_shim import OnnxClassifier, create_session

TEXTS = ["Ada Lindqvist left Varnholm.", "The Norden Bank fell.", "Nothing else did. " * 30]


def test_weights_apart_are_saved_loaded_and_copied(
    slim_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nlp = spacy.load(slim_pipeline)
    expected = [mentions(nlp(text)) for text in TEXTS]
    assert any(expected)
    head: Any = nlp.get_pipe("token_ner")
    shim = head.model.shims[0]
    whole: OnnxClassifier = shim.classifier
    (tmp_path / "whole.onnx").write_bytes(whole.graph)
    assert read_graph(tmp_path / "whole.onnx") == (whole.graph, b"")

    monkeypatch.setattr(quantization, "PROTOBUF_LIMIT", 1000)
    graph, weights = read_graph(tmp_path / "whole.onnx")
    assert len(graph) < len(weights)
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
    for copy in copies:
        assert [mentions(copy(text)) for text in TEXTS] == expected
    assert [mentions(doc) for doc in nlp.pipe(TEXTS, n_process=2)] == expected


def test_a_graph_without_its_weights_is_an_error(slim_pipeline: Path, tmp_path: Path) -> None:
    head: Any = spacy.load(slim_pipeline).get_pipe("token_ner")
    (tmp_path / "whole.onnx").write_bytes(head.model.shims[0].classifier.graph)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantization, "PROTOBUF_LIMIT", 1000)
        graph, weights = read_graph(tmp_path / "whole.onnx")
    with pytest.raises(Exception, match="weights"):
        create_session(graph, 1)
    assert create_session(graph, 1, weights)
