"""What the graph of a slim pipeline may contain: what spacy ner slim writes, and nothing that reads
files, loops or runs other code. Reads protobuf's wire format by itself, because a slim pipeline
doesn't need the package onnx: https://protobuf.dev/programming-guides/encoding"""

from collections.abc import Mapping

WEIGHTS = "weights"  # the name by which a graph refers to OnnxClassifier.weights
# By domain. None of them has a graph of its own, as Loop, If and Scan do.
# fmt: off
OPERATORS = {
    b"": {
        b"Abs", b"Add", b"Cast", b"Clip", b"Concat", b"CumSum", b"DequantizeLinear", b"Div",
        b"Equal", b"Expand", b"Flatten", b"Gather", b"GatherElements", b"Gelu", b"Identity",
        b"LayerNormalization", b"Less", b"Log", b"MatMul", b"Max", b"Min", b"Mul", b"Neg", b"Not",
        b"Pad", b"Pow", b"QuantizeLinear", b"Range", b"ReduceMax", b"ReduceMean", b"Relu",
        b"Reshape", b"Shape", b"Slice", b"Softmax", b"Split", b"Sqrt", b"Squeeze", b"Sub", b"Tanh",
        b"Tile", b"Transpose", b"Unsqueeze", b"Where",
    },
    b"com.microsoft": {b"MatMulIntegerToFloat"},
}
# fmt: on
# The numbers of the fields that are written, from
# https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto. All others are refused: functions,
# attributes that are tensors or graphs, metadata.
MODEL = {1: "ir_version", 2: "producer_name", 3: "producer_version", 7: "graph", 8: "opset"}
GRAPH = {1: "node", 2: "name", 5: "initializer", 11: "input", 12: "output", 13: "value_info"}
NODE = {1: "input", 2: "output", 3: "name", 4: "op_type", 5: "attribute", 7: "domain"}
ATTRIBUTE = {1: "name", 2: "f", 3: "i", 4: "s", 8: "ints", 20: "type"}
TENSOR = {
    **{1: "dims", 2: "data_type", 4: "float_data", 5: "int32_data", 7: "int64_data", 8: "name"},
    **{9: "raw_data", 13: "external_data", 14: "data_location"},
}
ENTRY = {1: "key", 2: "value"}
OPSET = {1: "domain", 2: "version"}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT = 10  # bytes
Fields = Mapping[str, list[memoryview]]


def check_graph(graph: bytes, weights: bytes) -> None:
    """Check an ONNX model before ONNX Runtime reads it.

    weights (bytes): As in OnnxClassifier.
    RAISES (ValueError): If it isn't one, or has anything that spacy ner slim doesn't write.
    """
    model = read_fields(memoryview(graph), MODEL, "the model")
    if not model["graph"]:
        raise ValueError("the saved graph is not an ONNX model")
    for opset in model["opset"]:
        find_operators(read_fields(opset, OPSET, "the operator set"))
    for part in model["graph"]:
        fields = read_fields(part, GRAPH, "the graph")
        for data in fields["node"]:
            check_node(read_fields(data, NODE, "a node"))
        for data in fields["initializer"]:
            check_tensor(read_fields(data, TENSOR, "a tensor"), len(weights))


def check_node(node: Fields) -> None:
    """RAISES (ValueError): If a node's operator isn't among those that are written."""
    operators = find_operators(node)
    for operator in map(bytes, node["op_type"]):
        if operator not in operators:
            raise ValueError(f"the operator {operator[:40]!r} is not one of a slim pipeline")
    for data in node["attribute"]:
        read_fields(data, ATTRIBUTE, "an attribute")


def find_operators(fields: Fields) -> set[bytes]:
    """RETURNS (set[bytes]): The operators of the domain of a node or an operator set.
    RAISES (ValueError): If no operator of this domain is among those that are written."""
    domain = b"".join(map(bytes, fields["domain"]))
    if domain not in OPERATORS:
        raise ValueError(f"the operators {domain[:40]!r} are not those of a slim pipeline")
    return OPERATORS[domain]


def check_tensor(tensor: Fields, size: int) -> None:
    """RAISES (ValueError): If a tensor's values are anywhere but in itself or in the weights of
    `size` bytes."""
    entries = [read_fields(data, ENTRY, "external data") for data in tensor["external_data"]]
    values: dict[bytes, bytes] = {}
    for entry in entries:
        if [*map(len, (entry["key"], entry["value"]))] != [1, 1]:
            raise ValueError("external data needs pairs of a key and a value")
        key, value = bytes(entry["key"][0]), bytes(entry["value"][0])
        if key in values:
            raise ValueError("external data has a key twice")
        values[key] = value
    if not values:
        return
    if values.keys() != {b"location", b"offset", b"length"}:
        raise ValueError("external data needs a location, an offset and a length")
    location, offset, length = (values[key] for key in (b"location", b"offset", b"length"))
    if location != WEIGHTS.encode():
        raise ValueError(f"the graph would read the file {location[:40]!r}")
    inside = offset.isdigit() and length.isdigit() and int(offset) + int(length) <= size
    if not inside:
        raise ValueError("external data is outside of the saved weights")


def read_fields(data: memoryview, names: Mapping[int, str], what: str) -> Fields:
    """Read a message.

    names (Mapping[int, str]): Of the fields that it may have, by number.
    what (str): The message, for errors.
    RETURNS (Fields): The values of each field as bytes, in order; those of numbers are left out.
    RAISES (ValueError): If it isn't a message, or has another field.
    """
    found: dict[str, list[memoryview]] = {name: [] for name in names.values()}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        name = names.get(tag >> 3)
        if name is None:
            raise ValueError(f"{what} has the field {tag >> 3}, which no slim pipeline has")
        kind = tag & 7
        if kind == VARINT:
            _, at = read_varint(data, at)
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        elif kind == BYTES:
            size, start = read_varint(data, at)
            at = start + size
            found[name].append(data[start:at])
        else:
            raise ValueError(f"{what} is not a message of protobuf")
        if at > len(data):
            raise ValueError(f"{what} is cut off")
    return found


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """RETURNS (tuple[int, int]): A number, and where the next field begins."""
    value = 0
    for i in range(MAX_VARINT):
        if at + i >= len(data):
            raise ValueError("a number is cut off")
        byte = data[at + i]
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            return value, at + i + 1
    raise ValueError("a number is too long")
