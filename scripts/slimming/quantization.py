"""Weights in 8 bits."""

from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from common.console import InputError
from slimming.export import silenced

QUANTIZED = ("MatMul", "Gather")  # Gather: the embeddings, half of a small model
PROTOBUF_LIMIT = 2**31 - 1  # bytes


def quantize(path: Path, target: Path) -> None:
    """Write an ONNX model with weights in 8 bits, a scale for each column; activations are rounded
    to 8 bits as it runs, with a scale for each batch."""
    with silenced():
        quantize_dynamic(
            path,
            target,
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(QUANTIZED),
        )


def read_graph(path: Path) -> bytes:
    """RETURNS (bytes): An ONNX model with its weights in it.
    RAISES (InputError): If it is larger than protobuf allows."""
    model = onnx.load(path)
    size = model.ByteSize()
    if size > PROTOBUF_LIMIT:
        raise InputError(
            f"the model has {size / 1e9:.1f} GB, and an ONNX model in one file at most 2; use "
            "--precision int8, which takes a quarter"
        )
    content: bytes = model.SerializeToString()
    return content
