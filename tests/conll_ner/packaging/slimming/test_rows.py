"""A slim model computes only what is read: which rows, from which operation on."""

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from conll_ner.packaging.slimming.rows import select_rows

Node = tuple[str, list[str], str, dict[str, Any]]  # operator, inputs, output, attributes
WIDTH, LABELS = 4, 3
RNG = numpy.random.default_rng(0)
WEIGHTS = {
    "table": RNG.normal(size=(10, WIDTH)),
    "inner": RNG.normal(size=(WIDTH, WIDTH)),
    "bias": RNG.normal(size=WIDTH),
    "of_windows": RNG.normal(size=(1, 1, WIDTH)),
    "head": RNG.normal(size=(WIDTH, LABELS)),
}
# After these, the values that lead to the logits are those of the wordpieces alone.
MIXED: list[Node] = [
    ("Gather", ["table", "ids"], "vectors", {}),
    ("Softmax", ["vectors"], "mixed", {"axis": 1}),
    ("MatMul", ["mixed", "inner"], "x", {}),
]


def make_graph(*nodes: Node) -> onnx.ModelProto:
    """RETURNS (ModelProto): From ids (n_windows, length) to logits."""
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "m"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "m", LABELS])
    made = [helper.make_node(kind, i, [o], **extra) for kind, i, o, extra in (*MIXED, *nodes)]
    made.append(helper.make_node("MatMul", ["last", "head"], ["logits"]))
    weights = [numpy_helper.from_array(w.astype("float32"), k) for k, w in WEIGHTS.items()]
    graph = helper.make_graph(made, "graph", [ids], [logits], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto, **inputs: numpy.ndarray) -> numpy.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, inputs)
    return found  # type: ignore[no-any-return]


# What follows the mixing, and the operators that are then run on the selected rows only.
GRAPHS: dict[str, tuple[list[Node], list[str]]] = {
    "all": (
        [
            ("Add", ["x", "bias"], "y", {}),
            ("Tanh", ["y"], "z", {}),
            ("Mul", ["z", "x"], "last", {}),
        ],
        ["MatMul", "Add", "Tanh", "Mul", "MatMul"],
    ),
    "nothing but the head after an operator that isn't known": (
        [("Sigmoid", ["x"], "last", {})],
        ["MatMul"],
    ),
    "a value that isn't the same for all windows by its shape": (
        [("Tanh", ["x"], "y", {}), ("Add", ["y", "of_windows"], "last", {})],
        ["MatMul"],
    ),
    "a normalization over windows": (
        [("Softmax", ["x"], "y", {"axis": 0}), ("Relu", ["y"], "last", {})],
        ["Relu", "MatMul"],
    ),
    "a value that is read again where wordpieces are mixed": (
        [
            ("Tanh", ["x"], "y", {}),
            ("Softmax", ["y"], "z", {"axis": 1}),
            ("Sub", ["z", "y"], "last", {}),
        ],
        ["Sub", "MatMul"],
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
@settings(max_examples=20)
@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 5)), data=st.data())
def test_rows_are_those_of_the_whole_graph(
    name: str, shape: tuple[int, int], data: st.DataObject
) -> None:
    model = make_graph(*GRAPHS[name][0])
    ids = RNG.integers(10, size=shape)
    every = run(model, ids=ids).reshape(-1, LABELS)
    rows = data.draw(st.lists(st.integers(0, len(every) - 1), unique=True))
    select_rows(model.graph)
    found = run(model, ids=ids, rows=numpy.array(rows, dtype="int64"))
    numpy.testing.assert_allclose(found, every[rows], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", GRAPHS)
def test_rows_are_selected_where_wordpieces_last_see_each_other(name: str) -> None:
    nodes, expected = GRAPHS[name]
    model = make_graph(*nodes)
    select_rows(model.graph)
    assert operators_on_rows(model.graph) == expected


def test_only_rows_pass_the_last_feed_forward_network(slim_pipeline: Path) -> None:
    head: Any = spacy.load(slim_pipeline).get_pipe("token_ner")
    graph = onnx.load_from_string(head.model.shims[0].classifier.graph).graph
    # Attention's output, the two layers of the feed-forward network, the head.
    assert operators_on_rows(graph).count("MatMul") == 4


def operators_on_rows(graph: onnx.GraphProto) -> list[str]:
    selected = {"rows"}
    found = []
    for node in graph.node:
        if selected.intersection(node.input):
            selected.update(node.output)
            found.append(node.op_type)
    return [kind for kind in found if kind not in ("Gather", "Identity")]
