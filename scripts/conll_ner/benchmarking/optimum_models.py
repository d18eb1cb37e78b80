"""Checkpoints on ONNX Runtime by Optimum, a rival of slim pipelines."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any


def has_optimum() -> bool:
    """RETURNS (bool): Whether Optimum is installed, and optimum-onnx, its half for ONNX Runtime."""
    return find_spec("optimum") is not None and find_spec("optimum.onnxruntime") is not None


def export_onnx(checkpoint: Path, work: Path, precision: str) -> Path:
    """Export a checkpoint, unless that is done.

    work (Path): The folder for the models.
    precision (str): "float32" or "int8".
    RETURNS (Path): The folder of the model.
    """
    from optimum.onnxruntime import ORTModelForTokenClassification, ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    target = work / f"onnx-{precision}"
    if target.exists():
        return target
    if precision == "float32":
        ORTModelForTokenClassification.from_pretrained(checkpoint, export=True).save_pretrained(
            target
        )
    else:
        # Optimum's own settings for processors with VNNI; activations are rounded at run time.
        settings = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
        plain = export_onnx(checkpoint, work, "float32")
        ORTQuantizer.from_pretrained(plain).quantize(save_dir=target, quantization_config=settings)
    return target


def load_onnx(folder: Path) -> Any:
    """RETURNS (ORTModelForTokenClassification): With as many threads as torch has."""
    import onnxruntime
    import torch
    from optimum.onnxruntime import ORTModelForTokenClassification

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return ORTModelForTokenClassification.from_pretrained(folder, session_options=options)
