"""Weights in 8 bits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model
from onnxruntime.quantization import QuantType, quantize_dynamic

from conll_ner.packaging.slimming.export import silenced
from token_ner.onnx_model.onnx_graph import WEIGHTS

QUANTIZED = ("MatMul", "Gather")  # Gather: the embeddings, half of a small model
PROTOBUF_LIMIT = 2**31 - 1  # bytes
LAST_AXIS, TINY = "last_axis", "tiny"  # names of constants in the graph


def quantize(path: Path, target: Path) -> None:
    """Write an ONNX model with weights in 8 bits, with a scale for each column. Activations are
    rounded to 8 bits as it runs, where it matters with a scale for each wordpiece."""
    model = onnx.load(path)
    scale_activations(model.graph)
    scaled = path.with_suffix(".scaled.onnx")
    onnx.save(model, scaled, save_as_external_data=True, location=f"{scaled.name}.data")
    with silenced():
        quantize_dynamic(
            scaled,
            target,
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(QUANTIZED),
            # One bit less: products of 8 by 8 bits overflow on x86 processors without VNNI, such as
            # Intel's before 2019, which would give other mentions there.
            reduce_range=True,
            use_external_data_format=True,
        )


def make_node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def scale_activations(graph: onnx.GraphProto) -> None:
    """Divide the input of multiplications by weights by the largest value of its wordpiece, and
    multiply the output by it, which changes no result.

    The quantizer has one scale for all wordpieces of a batch. A few of them have values that are
    much larger than the others', for which 8 bits are then too few. This matters in the
    feed-forward layers and the head, not in attention, whose weights are square: without it there,
    the error of the logits is the same (docs/slim.md).
    """
    weights = {t.name for t in graph.initializer if len(t.dims) == 2 and t.dims[0] != t.dims[1]}
    nodes = list(scaled_nodes(list(graph.node), weights))
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        [
            numpy_helper.from_array(numpy.array([-1], dtype="int64"), LAST_AXIS),
            numpy_helper.from_array(numpy.array(1e-6, dtype="float32"), TINY),
        ]
    )


def scaled_nodes(nodes: list[onnx.NodeProto], weights: set[str]) -> Iterator[onnx.NodeProto]:
    """YIELDS (NodeProto): The nodes, with those that scale around each multiplication by `weights`,
    which multiplications of the same values share."""
    scales: dict[str, str] = {}
    for node in nodes:
        if node.op_type != "MatMul" or node.input[1] not in weights:
            yield node
            continue
        values, output = node.input[0], node.output[0]
        if values not in scales:
            scale = scales[values] = f"{values}.scale"
            yield make_node("Abs", [values], f"{scale}.abs")
            yield make_node("ReduceMax", [f"{scale}.abs", LAST_AXIS], f"{scale}.max", keepdims=1)
            yield make_node("Max", [f"{scale}.max", TINY], scale)
            yield make_node("Div", [values, scale], f"{scale}.unit")
        scale = scales[values]
        product = onnx.NodeProto.FromString(node.SerializeToString())
        product.input[0], product.output[0] = f"{scale}.unit", f"{output}.unit"
        yield product
        yield make_node("Mul", [f"{output}.unit", scale], output)


def read_graph(path: Path) -> tuple[bytes, bytes]:
    """Read an ONNX model whose weights are in a file beside it.

    RETURNS (tuple[bytes, bytes]): The model; and its weights, if it is larger with them than
        protobuf allows, otherwise nothing.
    """
    model = onnx.load(path, load_external_data=False)
    drop_notes(model)
    entries = [e for tensor in model.graph.initializer for e in tensor.external_data]
    sizes = [int(entry.value) for entry in entries if entry.key == "length"]
    if path.stat().st_size + sum(sizes) <= PROTOBUF_LIMIT:
        load_external_data_for_model(model, str(path.parent))
        return model.SerializeToString(), b""
    locations = [entry for entry in entries if entry.key == "location"]
    (file,) = {entry.value for entry in locations}
    for entry in locations:
        entry.value = WEIGHTS
    return model.SerializeToString(), (path.parent / file).read_bytes()


def drop_notes(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes: stack traces, with the paths of the machine, and names."""
    graph = model.graph
    parts: Any = (model, graph, *graph.node, *graph.value_info, *graph.initializer)
    for part in (*parts, *graph.input, *graph.output):
        del part.metadata_props[:]
