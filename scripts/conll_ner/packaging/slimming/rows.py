"""Leave out what nothing reads: after the last attention, all wordpieces but the words' first."""

from collections.abc import Iterable, Iterator
from typing import Any

import onnx
from onnx import helper

from token_ner.onnx_model.onnx_shim import ROWS

# Operators that treat each wordpiece by itself, if their other inputs are the same for all.
BY_WORDPIECE = {"Add", "Div", "Gelu", "LayerNormalization", "MatMul", "Mul", "Relu", "Sub", "Tanh"}


class Values:
    """The values of a graph by name: of which shape, and who reads them."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
        infos = (*graph.value_info, *graph.input, *graph.output)
        self.shapes: dict[str, list[Any]] = {
            info.name: [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]
            for info in infos
        }
        self.windows = self.shapes[graph.input[0].name]  # number and length
        self.readers: dict[str, list[str]] = {}  # outputs of the nodes that read a value
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node.output[0])

    def is_by_wordpiece(self, name: str) -> bool:
        """RETURNS (bool): Whether a value is a row for each wordpiece of each window."""
        shape = self.shapes.get(name, [])
        return len(shape) == 3 and shape[:2] == self.windows and name not in self.ranks

    def is_same_for_all(self, name: str, node: onnx.NodeProto) -> bool:
        """RETURNS (bool): Whether a value is a constant that a node applies to each wordpiece."""
        return self.ranks.get(name, 3) <= (2 if node.op_type == "MatMul" else 1)

    def can_move(self, node: onnx.NodeProto, moved: set[str]) -> bool:
        """RETURNS (bool): Whether a node's result for some wordpieces needs only these, and nothing
        but such nodes, whose outputs are `moved`, reads it."""
        return (
            node.op_type in BY_WORDPIECE
            and self.is_by_wordpiece(node.output[0])
            and moved.issuperset(self.readers[node.output[0]])
            and all(self.is_by_wordpiece(x) or self.is_same_for_all(x, node) for x in node.input)
            and all(a.i == -1 for a in node.attribute if a.name == "axis")
        )


def select_rows(graph: onnx.GraphProto) -> None:
    """Give a graph of the logits of all wordpieces an input `rows`, the positions of those that are
    wanted, (n_rows,). They are selected where wordpieces last see each other: what follows is
    computed for these rows only, with the same result, (n_rows, n_labels)."""
    logits = graph.output[0]
    graph.node.append(helper.make_node("Identity", [logits.name], ["rows_logits"]))
    values = Values(graph)
    moved = {"rows_logits"}
    for node in reversed(graph.node):
        if values.can_move(node, moved):
            moved.add(node.output[0])
    nodes = list(select_inputs(graph.node, values, moved))
    infos = [info for info in graph.value_info if info.name not in moved]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.value_info.extend(infos)
    n_labels = values.shapes[logits.name][-1]
    graph.input.append(helper.make_tensor_value_info(ROWS, onnx.TensorProto.INT64, ["n_rows"]))
    shape = ["n_rows", n_labels]
    logits.CopyFrom(helper.make_tensor_value_info("rows_logits", onnx.TensorProto.FLOAT, shape))


def select_inputs(
    nodes: Iterable[onnx.NodeProto], values: Values, moved: set[str]
) -> Iterator[onnx.NodeProto]:
    """YIELDS (NodeProto): The nodes; before those that are moved, the selection of what they
    read."""
    selected: set[str] = set()
    for node in nodes:
        if node.output[0] in moved:
            for i, name in enumerate(node.input):
                if name in moved or not values.is_by_wordpiece(name):
                    continue
                flat, node.input[i] = f"{name}.flat", f"{name}.rows"
                if name not in selected:
                    selected.add(name)
                    yield helper.make_node("Flatten", [name], [flat], axis=2)
                    yield helper.make_node("Gather", [flat, ROWS], [node.input[i]], axis=0)
        yield node
