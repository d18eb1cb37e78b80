"""From torch to ONNX: transformer, letter-case vectors and head as one graph."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy
import onnx
import torch

from conll_ner.common.console import InputError, first_line
from conll_ner.packaging.slimming.rows import select_rows
from conll_ner.packaging.slimming.source import Source
from token_ner.onnx_model.onnx_shim import INPUTS
from token_ner.torch_model.forward import embed, run_transformer, to_torch
from token_ner.torch_model.shim import TransformerClass
from token_ner.wordpieces import N_CASES

OPSET = 21  # the first that rounds with a scale for each row; Gelu is one operation since 20
TRACED = (2, 16)  # windows and wordpieces of the example; both are free in the graph


class Classifier(torch.nn.Module):
    """What is exported: logits, (n_windows, length, n_labels)."""

    def __init__(self, transformer: Any, output: torch.nn.Linear) -> None:
        super().__init__()
        self.transformer = transformer
        self.output = output

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, cases: torch.Tensor | None = None
    ) -> torch.Tensor:
        """ids, mask, cases (Tensor): Wordpieces, attention mask and letter cases, (n_windows,
        length)."""
        output = self.transformer(**embed(self.transformer, ids, cases), attention_mask=mask)
        logits: torch.Tensor = self.output(output.last_hidden_state)
        return logits


def make_linear(source: Source) -> torch.nn.Linear:
    """RETURNS (Linear): The head's layer."""
    ops = source.output.ops
    weight, bias = (to_torch(ops.to_numpy(source.output.get_param(name))) for name in ("W", "b"))
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": weight, "bias": bias})
    return linear


def make_classifier(source: Source) -> Classifier:
    """RETURNS (Classifier): A copy of the recogniser on the CPU, in float32, with the attention
    that is made of plain operations: it exports with any length."""
    own = source.shim._model
    config = deepcopy(own.config)
    config._attn_implementation = "eager"
    transformer = TransformerClass.from_config(config)
    transformer.load_state_dict(own.state_dict())
    return Classifier(transformer.float(), make_linear(source)).eval()


def input_names(source: Source) -> tuple[str, ...]:
    """RETURNS (tuple[str, ...]): The inputs of the graph, in order."""
    return INPUTS if hasattr(source.shim._model, "case_embedding") else INPUTS[:2]


def random_inputs(source: Source, shape: tuple[int, int]) -> numpy.ndarray:
    """RETURNS (ndarray): Any wordpieces, a mask with some padding at each end but the first
    window's, and any letter cases, (3, n_windows, length)."""
    rng = numpy.random.default_rng(0)
    n_windows, length = shape
    size = source.shim._model.get_input_embeddings().num_embeddings
    pad = source.shim._hfmodel.tokenizer.pad_token_id or 0
    ids = rng.integers(size, size=shape)
    ids[ids == pad] = (pad + 1) % size  # RoBERTa doesn't count padding as positions
    lengths = numpy.append(length, rng.integers(1, length + 1, size=n_windows - 1))
    mask = numpy.arange(length) < lengths[:, None]
    return numpy.stack([numpy.where(mask, ids, pad), mask, rng.integers(N_CASES, size=shape)])


def export_graph(source: Source, path: Path) -> None:
    """Write the recogniser as an ONNX model in float32, with the inputs of
    `onnx_shim.name_inputs` and the weights in a file beside it.

    RAISES (InputError): If torch can't export the transformer.
    """
    names = input_names(source)
    example = torch.from_numpy(random_inputs(source, TRACED)[: len(names)])
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    classifier = make_classifier(source)
    try:
        with silenced(), torch.no_grad():
            torch.onnx.export(
                classifier,
                tuple(example),
                path,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(names),
                output_names=["logits"],
                dynamic_shapes=dict.fromkeys(names, free),
                external_data=True,  # a file of protobuf has at most 2 GB
                verbose=False,
            )
    except Exception as error:  # of torch's many kinds
        kind = classifier.transformer.config.model_type
        raise InputError(f"torch can't export {kind}: {first_line(error)}") from error
    model = onnx.load(path, load_external_data=False)
    select_rows(model.graph)
    onnx.save(model, path)


@contextmanager
def silenced() -> Iterator[None]:
    """Drop the warnings of exporter and quantizer, which are about their own code and about
    packages that aren't needed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def torch_logits(source: Source, inputs: numpy.ndarray) -> numpy.ndarray:
    """RETURNS (ndarray): The logits of the pipeline's own model in float32,
    (n_windows, length, n_labels)."""
    shim = source.shim
    ids, mask, cases = torch.from_numpy(inputs).to(shim.device)
    shim._model.eval()
    hidden = run_transformer(shim._model, ids, mask, cases, bfloat16=False, is_train=False)
    linear = make_linear(source)
    with torch.no_grad():
        return linear(hidden.cpu()).numpy()  # type: ignore[no-any-return]
