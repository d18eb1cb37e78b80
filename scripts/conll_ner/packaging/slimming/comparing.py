"""Compare a slim model with the one that it was made from."""

from typing import Any

import numpy

from conll_ner.common.console import InputError
from conll_ner.packaging.slimming.export import random_inputs, torch_logits
from conll_ner.packaging.slimming.source import Source
from token_ner.onnx_model.onnx_shim import name_inputs
from token_ner.torch_model.shim import most_wordpieces

TOLERANCE = 1e-3  # of a logit; relative to it if it is above 1
# Windows and wordpieces. A graph can be right at the length of its example only, as a traced
# all-mpnet was, whose relative positions were fixed: dev F1 fell by 0.85 without an error.
SHAPES = ((1, 3), (5, 17), (3, 64), (2, 128), (1, 200), (4, 333), (2, 512))


def largest_difference(source: Source, session: Any) -> float:
    """RETURNS (float): The largest difference between logits of a session and of torch in float32,
    at several lengths and numbers of windows, with padding; as a multiple of the logit if that is
    above 1."""
    maximum = most_wordpieces(source.shim._hfmodel)
    shapes = {(n, min(length, maximum)) for n, length in SHAPES}
    names = [node.name for node in session.get_inputs()]
    worst = 0.0
    for shape in sorted(shapes):
        inputs = random_inputs(source, shape)
        expected = torch_logits(source, inputs)
        rows = numpy.flatnonzero(inputs[1])
        expected = expected.reshape(-1, expected.shape[-1])[rows]
        values = name_inputs(inputs, rows)
        (found,) = session.run(None, {name: values[name] for name in names})
        if found.shape != expected.shape:
            return float("inf")
        difference = numpy.abs(found - expected) / numpy.maximum(1, numpy.abs(expected))
        worst = max(worst, float(difference.max()))
    return worst


def check_export(source: Source, session: Any, path: str) -> float:
    """RETURNS (float): As `largest_difference`.
    RAISES (InputError): If it is above TOLERANCE."""
    difference = largest_difference(source, session)
    if not difference <= TOLERANCE:  # nor NaN
        raise InputError(
            f"{path}: the exported model's logits differ from torch's by {difference:.2g}, more "
            f"than {TOLERANCE:g}; please report this model as a bug"
        )
    return difference
