"""Weights in 8 bits."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model
from onnxruntime.quantization import QuantType, quantize_dynamic

from conll_ner.packaging.slimming.export import silenced
from token_ner.onnx_model.onnx_graph import WEIGHTS

PROTOBUF_LIMIT = 2**31 - 1  # bytes
# 7 bits: products of 8 by 8 bits overflow on x86 processors without VNNI, such as Intel's before
# 2019, which would give other mentions there.
LARGEST = 64
CONTRIB = "com.microsoft"  # the domain of ONNX Runtime's own operators
# Names of constants in the graph.
LAST_AXIS, TINY, STEP, ZERO, ONE = "last_axis", "tiny", "step", "zero", "one"
CONSTANTS = {
    LAST_AXIS: numpy.array([-1], dtype="int64"),
    TINY: numpy.array(1e-6, dtype="float32"),
    STEP: numpy.array(1 / 127, dtype="float32"),
    ZERO: numpy.array(128, dtype="uint8"),
    ONE: numpy.array(1, dtype="float32"),
}


def quantize(path: Path, target: Path) -> None:
    """Write an ONNX model with weights in 8 bits, with a scale for each column. Activations are
    rounded to 8 bits as it runs, with a scale for each wordpiece."""
    with silenced():
        quantize_dynamic(
            path,
            target,
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Gather"],  # the embeddings, half of a small model
            reduce_range=True,
            use_external_data_format=True,
        )
    model = onnx.load(target)
    quantize_products(model.graph)
    model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    data = f"{target.name}.data"
    target.with_name(data).unlink(missing_ok=True)
    onnx.save(model, target, save_as_external_data=True, location=data)


def make_node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def quantize_products(graph: onnx.GraphProto) -> None:
    """Round both sides of the multiplications by weights.

    ONNX Runtime's own quantizer has one scale for all wordpieces of a batch. A few of them have
    values that are much larger than the others', for which 8 bits are then too few (docs/slim.md);
    and the scale depends on the other texts in the batch.
    """
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer if len(t.dims) == 2}
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in weights]
    used = {node.input[1] for node in products}
    tensors = [t for t in graph.initializer if t.name not in used]
    tensors += [numpy_helper.from_array(value, name) for name, value in CONSTANTS.items()]
    for name in sorted(used):
        tensors += quantize_columns(name, weights[name])
    sizes = {node.output[0]: len(weights[node.input[1]]) for node in products}
    nodes = list(rounded_nodes(graph.node, sizes))
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)


def quantize_columns(name: str, weights: numpy.ndarray) -> list[onnx.TensorProto]:
    """RETURNS (list[TensorProto]): The rounded weights, and the scales of their columns."""
    scales = numpy.maximum(numpy.abs(weights).max(axis=0), 1e-30) / LARGEST
    rounded = numpy.rint(weights / scales).astype("int8")
    return [
        numpy_helper.from_array(rounded, f"{name}.int8"),
        numpy_helper.from_array(scales.astype("float32"), f"{name}.scales"),
    ]


def rounded_nodes(
    nodes: Iterable[onnx.NodeProto], sizes: Mapping[str, int]
) -> Iterator[onnx.NodeProto]:
    """YIELDS (NodeProto): The nodes, with those that round the first input of multiplications;
    multiplications of the same values share them.

    sizes (Mapping[str, int]): The outputs of these multiplications, and the width of their first
        input.
    """
    rounded: set[str] = set()
    for node in nodes:
        if node.output[0] not in sizes:
            yield node
            continue
        (values, weights), output = node.input, node.output[0]
        scale = f"{values}.scale"
        if values not in rounded:
            rounded.add(values)
            yield from round_rows(values, scale, sizes[output])
        inputs = [f"{values}.uint8", f"{weights}.int8", ONE, f"{weights}.scales", ZERO]
        product = f"{output}.unscaled"
        yield make_node("MatMulIntegerToFloat", inputs, product, domain=CONTRIB)
        yield make_node("Mul", [product, scale], output)


def round_rows(values: str, scale: str, size: int) -> Iterator[onnx.NodeProto]:
    """YIELDS (NodeProto): What rounds each row by its own scale, the 127th part of its largest
    value. size: of a row."""
    yield make_node("Abs", [values], f"{values}.abs")
    yield make_node("ReduceMax", [f"{values}.abs", LAST_AXIS], f"{values}.max", keepdims=1)
    yield make_node("Max", [f"{values}.max", TINY], f"{values}.largest")
    yield make_node("Mul", [f"{values}.largest", STEP], scale)
    yield make_node("Shape", [scale], f"{values}.shape")
    yield make_node("Expand", [ZERO, f"{values}.shape"], f"{values}.zeros")
    inputs = [values, scale, f"{values}.zeros"]
    yield make_node("QuantizeLinear", inputs, f"{values}.uint8", axis=-1, block_size=size)


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
