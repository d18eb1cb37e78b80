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
# Names of constants in the graph, and the end of the names of scaled values.
LAST_AXIS, TINY, STEP, ZERO, UNIT = "last_axis", "tiny", "step", "zero", ".unit"


def quantize(path: Path, target: Path) -> None:
    """Write an ONNX model with weights in 8 bits, with a scale for each column. Activations are
    rounded to 8 bits as it runs, with a scale for each wordpiece."""
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
    fix_scale(target)


def make_node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def scale_activations(graph: onnx.GraphProto) -> None:
    """Divide the input of multiplications by weights by the largest value of its wordpiece, and
    multiply the output by it, which changes no result.

    The quantizer has one scale for all wordpieces of a batch. A few of them have values that are
    much larger than the others', for which 8 bits are then too few (docs/slim.md); and the scale
    depends on the other texts in the batch.
    """
    weights = {t.name for t in graph.initializer if len(t.dims) == 2}
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
            yield make_node("Div", [values, scale], f"{scale}{UNIT}")
        scale = scales[values]
        product = onnx.NodeProto.FromString(node.SerializeToString())
        product.input[0], product.output[0] = f"{scale}{UNIT}", f"{output}{UNIT}"
        yield product
        yield make_node("Mul", [f"{output}{UNIT}", scale], output)


def fix_scale(path: Path) -> None:
    """Round values from -1 to 1, which all are after `scale_activations`, by one fixed scale,
    instead of one that the quantizer's nodes find for each batch. What a wordpiece gets is then the
    same in any batch.

    path (Path): The quantized model, which is replaced.
    """
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    fixed: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            if not node.input[0].endswith(UNIT):
                raise ValueError(f"{node.input[0]} isn't scaled before it is rounded")
            values, scale, zero = node.output
            fixed |= {scale: STEP, zero: ZERO}
            node.CopyFrom(make_node("QuantizeLinear", [node.input[0], STEP, ZERO], values))
    for node in graph.node:
        node.input[:] = [fixed.get(name, name) for name in node.input]
    graph.initializer.extend(
        [
            numpy_helper.from_array(numpy.array(1 / 127, dtype="float32"), STEP),
            numpy_helper.from_array(numpy.array(128, dtype="uint8"), ZERO),
        ]
    )
    path.write_bytes(model.SerializeToString())


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
