"""The forward and backward pass over windows."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy
import torch
from spacy.tokens import Doc
from spacy_transformers.data_classes import (
    FullTransformerBatch,
    HFObjects,
    TransformerData,
    WordpieceBatch,
)
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Ragged
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import BaseModelOutput

from .component import ModelArray
from .shim import AdamWShim
from .windows import (
    Specials,
    Window,
    Windowing,
    Wordpieces,
    batch_windows,
    make_windows,
    special_tokens,
    tokenize,
    window_size,
)

LOADING_PROCESS = os.getpid()


def has_bfloat16(device: torch.device) -> bool:
    """RETURNS (bool): Whether the device multiplies matrices in bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


class WindowedBatch(FullTransformerBatch):  # type: ignore[misc]
    """The output of the transformer, one row per wordpiece, document after document."""

    def unsplit_by_doc(self, arrays: list[list[Any]]) -> FullTransformerBatch:
        """RETURNS (FullTransformerBatch): Gradients of the documents that have wordpieces, each
        (1, n_wordpieces, width), as one of (n_wordpieces of all, width)."""
        tensors = [xp2torch(array) for (array,) in arrays]
        gradient = BaseModelOutput(last_hidden_state=torch.cat(tensors, dim=1)[0])
        return WindowedBatch(self.spans, self.wordpieces, gradient, self.align)


def measure_window(hf: HFObjects, windowing: Windowing) -> tuple[Specials, int]:
    """RETURNS (tuple[Specials, int]): The model's special tokens, and the wordpieces in a window.
    RAISES (ValueError): As `window_size`."""
    specials = special_tokens(hf.tokenizer.backend_tokenizer)
    maximum = hf.tokenizer.model_max_length
    return specials, window_size(maximum, hf.transformer.config, specials, windowing)


def limit_threads_after_fork() -> None:
    """Use one thread in a forked process, as in nlp.pipe(n_process=2): it doesn't inherit OpenMP's
    threads and would wait for them forever. torch's DataLoader does the same in its workers."""
    if os.getpid() != LOADING_PROCESS:
        torch.set_num_threads(1)


def backward_windows(outputs: list[tuple[list[Window], torch.Tensor]], d_hidden: Any) -> None:
    """Backpropagate through the batches of windows, last one first, and release them.

    outputs (list[tuple[list[Window], Tensor]]): Windows of each batch, and their hidden states:
        (n_windows, length, width).
    d_hidden (Tensor): Gradient of the hidden states of all documents: (n_wordpieces, width).
    """
    while outputs:
        batch, output = outputs.pop()
        gradient = torch.zeros_like(output)
        for window, d_states in zip(batch, gradient, strict=True):
            core = d_states[window.core]
            core.copy_(d_hidden[window.row : window.row + len(core)])
        output.backward(gradient)


def forward_windows(
    model: Model[list[Doc], FullTransformerBatch], docs: list[Doc], is_train: bool
) -> tuple[FullTransformerBatch, Callable[[FullTransformerBatch], list[Doc]]]:
    shim = cast(AdamWShim, model.shims[0])
    windowing: Windowing = model.attrs["windowing"]
    hf = shim._hfmodel
    limit_threads_after_fork()
    if not any(len(doc) for doc in docs):
        return FullTransformerBatch.empty(len(docs)), lambda _: docs
    specials, size = measure_window(hf, windowing)
    room = size - sum(map(len, specials))
    wordpieces = tokenize(hf.tokenizer.backend_tokenizer, docs, room - 2 * windowing.context)
    windows = make_windows(docs, wordpieces, specials, size, windowing)
    # A document of whitespace only gets one row of zeros, which no word uses: spacy-transformers
    # can't handle an output without rows.
    rows = [
        max(1, len(pieces.ids)) if len(doc) else 0
        for doc, pieces in zip(docs, wordpieces, strict=True)
    ]

    shim._model.train(is_train)
    width = model.get_dim("nO")
    hidden = torch.zeros((sum(rows), width), device=shim.device)
    outputs: list[tuple[list[Window], torch.Tensor]] = []
    bfloat16 = windowing.precision == "bfloat16" or (
        windowing.precision == "auto" and has_bfloat16(shim.device)
    )
    pad = hf.tokenizer.pad_token_id or 0
    run = partial(run_transformer, shim._model, pad=pad, bfloat16=bfloat16, is_train=is_train)
    batches = list(batch_windows(windows, size, windowing.batch_wordpieces))
    for i, (batch, length) in enumerate(batches, start=1):
        # The last batch is kept for the gradient, which begins with it. Earlier ones, as in a very
        # long document, are recomputed for theirs, so memory stays that of one batch.
        again = is_train and i < len(batches)
        output = (
            checkpoint(run, batch, length, use_reentrant=False) if again else run(batch, length)
        )
        for window, states in zip(batch, output.detach(), strict=True):
            core = states[window.core]
            hidden[window.row : window.row + len(core)] = core
        if is_train:
            outputs.append((batch, output))

    def backprop(d_batch: FullTransformerBatch) -> list[Doc]:
        backward_windows(outputs, d_batch.model_output.last_hidden_state)
        return docs

    return split_by_doc(docs, wordpieces, rows, hidden), backprop


def run_transformer(
    transformer: Any,
    batch: Sequence[Window],
    length: int,
    *,
    pad: int,
    bfloat16: bool,
    is_train: bool,
) -> torch.Tensor:
    """RETURNS (torch.Tensor): Last hidden states: (len(batch), length, width)."""
    ids, mask, cases = torch.zeros((3, len(batch), length), dtype=torch.int64)
    ids.fill_(pad)
    for i, window in enumerate(batch):
        n = len(window.ids)
        ids[i, :n] = torch.from_numpy(window.ids)
        mask[i, :n] = 1
        cases[i, :n] = torch.from_numpy(window.cases)
    device = transformer.device
    inputs = {"input_ids": ids.to(device)}
    with (
        torch.set_grad_enabled(is_train),
        torch.autocast(device.type, torch.bfloat16, enabled=bfloat16),
    ):
        if hasattr(transformer, "case_embedding"):
            embeddings = transformer.get_input_embeddings()(inputs["input_ids"])
            inputs = {"inputs_embeds": embeddings + transformer.case_embedding(cases.to(device))}
        output = transformer(**inputs, attention_mask=mask.to(device))
    return cast(torch.Tensor, output.last_hidden_state)


def split_by_doc(
    docs: list[Doc], wordpieces: list[Wordpieces], rows: list[int], hidden: torch.Tensor
) -> FullTransformerBatch:
    """RETURNS (FullTransformerBatch): The output with a TransformerData for each document:
    hidden states (1, n_wordpieces, width), aligned with the words."""
    states: ModelArray = torch2xp(hidden)
    ends = numpy.cumsum(rows)
    doc_data = []
    for doc, pieces, n, end in zip(docs, wordpieces, rows, ends, strict=True):
        if not len(doc):
            doc_data.append(TransformerData.empty())
            continue
        data = TransformerData(
            wordpieces=WordpieceBatch(
                strings=[pieces.strings],
                input_ids=pieces.ids[None],
                attention_mask=numpy.ones((1, len(pieces.ids)), dtype="float32"),
                lengths=[len(pieces.ids)],
                token_type_ids=None,
            ),
            model_output=BaseModelOutput(last_hidden_state=states[None, end - n : end]),
            align=Ragged(
                cast(Any, numpy.arange(len(pieces.ids), dtype="i")),
                cast(Any, pieces.lengths.astype("i")),
            ),
        )
        doc_data.append(data)
    return WindowedBatch(
        spans=[[doc[:]] if len(doc) else [] for doc in docs],
        wordpieces=WordpieceBatch.empty(),
        model_output=BaseModelOutput(last_hidden_state=hidden),
        align=Ragged(cast(Any, numpy.zeros(0, dtype="i")), cast(Any, numpy.zeros(0, dtype="i"))),
        cached_doc_data=doc_data,
    )
