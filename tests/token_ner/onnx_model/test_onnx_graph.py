"""What a stranger's slim pipeline may contain: it is refused before ONNX Runtime reads it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from token_ner.onnx_model.onnx_graph import OPERATORS, check_graph
from token_ner.onnx_model.onnx_shim import OnnxClassifier

Change = Callable[[onnx.ModelProto], object]


@pytest.fixture(scope="module")
def classifier(slim_pipeline: Path) -> OnnxClassifier:
    head: Any = spacy.load(slim_pipeline).get_pipe("token_ner")
    classifier: OnnxClassifier = head.model.shims[0].classifier
    return classifier


@pytest.fixture
def model(classifier: OnnxClassifier) -> onnx.ModelProto:
    return onnx.load_from_string(classifier.graph)


def external(**entries: str) -> TensorProto:
    tensor = TensorProto(name="extra", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def at(location: str, offset: int = 0, length: int = 16) -> TensorProto:
    return external(location=location, offset=str(offset), length=str(length))


def loop() -> onnx.NodeProto:
    body = helper.make_graph([], "body", [], [])
    return helper.make_node("Loop", ["n", "c"], ["x"], body=body)


def hidden_in_an_attribute() -> onnx.NodeProto:
    return helper.make_node("Cast", ["x"], ["y"], value=at("secret.bin"))


def function() -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_function("own", "Abs", ["x"], ["y"], [], opsets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.graph.initializer.append(at("hidden")), "would read the file b'hidden'"),
        (lambda m: m.graph.initializer.append(at("sub/secret.bin")), "sub/secret.bin"),
        (lambda m: m.graph.initializer.append(at("/etc/passwd")), "/etc/passwd"),
        (lambda m: m.graph.initializer.append(at("../weights")), "../weights"),
        # ONNX Runtime's own mark: the offset is an address in memory.
        (lambda m: m.graph.initializer.append(at("*/_ORT_MEM_ADDR_/*")), "_ORT_MEM_ADDR_"),
        (lambda m: m.graph.initializer.append(at("weights")), "outside of the saved weights"),
        (lambda m: m.graph.initializer.append(at("weights", -16)), "outside of the saved weights"),
        (lambda m: m.graph.initializer.append(external(location="weights")), "an offset and a len"),
        (lambda m: m.graph.node.append(loop()), "the operator b'Loop'"),
        (lambda m: m.graph.node.append(helper.make_node("If", ["c"], ["x"])), "b'If'"),
        (lambda m: m.graph.node.append(helper.make_node("", [], [])), "b''"),
        (
            lambda m: m.graph.node.append(helper.make_node("Add", [], [], domain="com.microsoft")),
            "the operator b'Add'",
        ),
        (lambda m: m.opset_import.append(helper.make_opsetid("own", 1)), "the operators b'own'"),
        (lambda m: m.graph.node.append(hidden_in_an_attribute()), "an attribute has the field 5"),
        (lambda m: m.functions.append(function()), "the model has the field 25"),
        (
            lambda m: m.metadata_props.add(key="ort_config", value="{}"),
            "the model has the field 14",
        ),
        (lambda m: m.graph.sparse_initializer.add(), "the graph has the field 15"),
        (lambda m: m.training_info.add(), "the model has the field 20"),
    ],
)
def test_a_graph_that_slim_does_not_write_is_refused(
    classifier: OnnxClassifier, model: onnx.ModelProto, change: Change, message: str
) -> None:
    change(model)
    with pytest.raises(ValueError, match=message.replace("*", r"\*")):
        replace(classifier, graph=model.SerializeToString())


def test_a_key_of_external_data_that_comes_twice_is_refused(model: onnx.ModelProto) -> None:
    """ONNX Runtime would take the last one."""
    tensor = at("weights")
    tensor.external_data.add(key="location", value="hidden")
    model.graph.initializer.append(tensor)
    with pytest.raises(ValueError, match="a key twice"):
        check_graph(model.SerializeToString(), bytes(100))


def test_values_in_the_saved_weights_are_allowed(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(at("weights", 84))
    check_graph(model.SerializeToString(), bytes(100))
    with pytest.raises(ValueError, match="outside"):
        check_graph(model.SerializeToString(), bytes(99))


def test_a_second_graph_is_checked_too(classifier: OnnxClassifier) -> None:
    """Protobuf merges fields that come twice."""
    more = onnx.ModelProto()
    more.graph.initializer.append(at("hidden"))
    with pytest.raises(ValueError, match="would read the file b'hidden'"):
        check_graph(classifier.graph + more.SerializeToString(), b"")


def test_a_file_of_ort_format_is_refused() -> None:
    """ONNX Runtime would read it by other rules than a graph."""
    with pytest.raises(ValueError, match=r"protobuf|field|cut off"):
        check_graph(b"\x18\x00\x00\x00ORTM" + bytes(100), b"")


@given(st.data())
def test_damaged_bytes_are_refused_or_read(classifier: OnnxClassifier, data: st.DataObject) -> None:
    """By no other error, and never by a hang. onnx reads what is accepted as the same operators."""
    start = data.draw(st.integers(0, len(classifier.graph)))
    put = data.draw(st.binary(max_size=8))
    cut = data.draw(st.integers(0, 8))
    graph = classifier.graph[:start] + put + classifier.graph[start + cut :]
    try:
        check_graph(graph, b"")
        model = onnx.load_from_string(graph)
    except ValueError:
        return
    except Exception as error:  # onnx refuses more, such as text that isn't UTF-8
        assert type(error).__name__ == "DecodeError"
        return
    for node in model.graph.node:
        assert node.op_type.encode() in OPERATORS[node.domain.encode()]
    assert not any(tensor.external_data for tensor in model.graph.initializer)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("graph", "/etc/passwd"),
        ("graph", b""),
        ("graph", None),
        ("tokenizer", b"{}"),
        ("maximum", 0),
        ("maximum", 512.0),
        ("maximum", 2**40),
        ("maximum", True),
        ("pad", -1),
        ("pad", "0"),
        ("empty", []),
        ("empty", 0.0),
        ("empty", [0.0, float("nan")]),
        ("empty", [0, "1"]),
        ("precision", "int4"),
        ("precision", ["int8"]),
        ("weights", "weights"),
    ],
)
def test_a_field_of_another_type_or_range_is_refused(
    classifier: OnnxClassifier, field: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=field):
        replace(classifier, **{field: value})


def save(slim_pipeline: Path, folder: Path, **fields: Any) -> None:
    """Save the slim pipeline with other values of its classifier, whatever they are."""
    nlp = spacy.load(slim_pipeline)
    head: Any = nlp.get_pipe("token_ner")
    for name, value in fields.items():
        object.__setattr__(head.model.shims[0].classifier, name, value)
    nlp.to_disk(folder)


def without_first_bytes(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    del model.graph.node[:5]
    return bytes(model.SerializeToString())


def with_more_labels(graph: bytes) -> bytes:
    """A head whose bias has one label more, so that nothing fits."""
    model = onnx.load_from_string(graph)
    (bias,) = [t for t in model.graph.initializer if t.name == "output.bias"]
    values = numpy_helper.to_array(bias)
    bias.CopyFrom(numpy_helper.from_array(numpy.append(values, values[:1]), bias.name))
    return bytes(model.SerializeToString())


def with_nan(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    (bias,) = [t for t in model.graph.initializer if t.name == "output.bias"]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) * numpy.nan, bias.name))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("change", [without_first_bytes, with_more_labels, with_nan])
def test_a_graph_that_can_not_run_is_refused_at_load(
    slim_pipeline: Path, classifier: OnnxClassifier, tmp_path: Path, change: Any
) -> None:
    save(slim_pipeline, tmp_path, graph=change(classifier.graph))
    with pytest.raises(ValueError, match=r"^token_ner: the saved model "):
        spacy.load(tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"graph": "/etc/passwd"},
        {"tokenizer": "{}"},
        {"pad": 100_000},
        {"maximum": 2},
        {"empty": [0.0]},
        {"maximum": "512"},
    ],
    ids=str,
)
def test_a_damaged_classifier_is_refused_at_load(
    slim_pipeline: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    save(slim_pipeline, tmp_path, **fields)
    with pytest.raises(ValueError, match=r"slim pipeline's|the saved model"):
        spacy.load(tmp_path)


def test_a_tokenizer_with_more_wordpieces_than_the_model_is_refused_at_load(
    slim_pipeline: Path, classifier: OnnxClassifier, tmp_path: Path
) -> None:
    assert '"z":' in classifier.tokenizer
    more = classifier.tokenizer.replace('"z":', '"zzzz":100000,"z":')
    save(slim_pipeline, tmp_path, tokenizer=more)
    with pytest.raises(ValueError, match="the saved model can't predict"):
        spacy.load(tmp_path)
