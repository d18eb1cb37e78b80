"""The forward and backward pass over windows."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, cast

import numpy
import torch
from spacy.tokens import Doc
from spacy_transformers.data_classes import (
    FullTransformerBatch,
    TransformerData,
    WordpieceBatch,
)
from thinc.api import Model, torch2xp
from thinc.types import Ragged
from torch.utils.checkpoint import checkpoint
from torch.utils.dlpack import from_dlpack
from transformers.modeling_outputs import BaseModelOutput

from ..truecasing import find_changes
from ..types import ModelArray
from ..windows import Batch, Precision, Windowing, make_batches
from ..wordpieces import Wordpieces
from .shim import AdamWShim, measure_window

# (output (n_windows, length, width), cells, wordpieces): `windows.Batch`, on the device
BatchOutput = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
# torch.utils.checkpoint restores the random state of these, and of no others, such as MPS.
RECOMPUTING_DEVICES = ("cpu", "cuda")
LOADING_PROCESS = os.getpid()
BASE_WIDTH = 768  # of the hidden states of BERT-base


def has_bfloat16(device: torch.device) -> bool:
    """RETURNS (bool): Whether the device multiplies matrices in bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def auto_batch_wordpieces(device: torch.device, width: int) -> int:
    """RETURNS (int): The wordpieces per batch where the setting is "auto". A GPU is idle without
    large batches. A CPU is as fast with small ones, and training needs less memory: at BERT-base's
    width, 512 keep it below 4 GiB (docs/results/experiments.md)."""
    if device.type != "cpu":
        return 16_384
    return 1024 if width < BASE_WIDTH else 512


def to_torch(array: ModelArray) -> torch.Tensor:
    """RETURNS (torch.Tensor): A numpy or CuPy array, without a copy. thinc's xp2torch calls
    toDlpack, which CuPy 14 deprecates."""
    if isinstance(array, numpy.ndarray):
        return torch.from_numpy(array)
    return from_dlpack(array)


class WindowedBatch(FullTransformerBatch):  # type: ignore[misc]
    """The output of the transformer, one row per wordpiece, document after document."""

    def unsplit_by_doc(self, arrays: list[list[Any]]) -> FullTransformerBatch:
        """RETURNS (FullTransformerBatch): Gradients of the documents that have words, each
        (1, n_wordpieces, width), as one of (n_wordpieces of all, width). A document of whitespace
        has no wordpieces: its row is dropped."""
        datas = [data for data in self.doc_data if "last_hidden_state" in data.model_output]
        tensors = [
            to_torch(array[0])
            for (array,), data in zip(arrays, datas, strict=True)
            if len(data.align.dataXd)
        ]
        gradient = BaseModelOutput(last_hidden_state=torch.cat(tensors) if tensors else None)
        return WindowedBatch(self.spans, self.wordpieces, gradient, self.align)


def check_after_fork(device: torch.device) -> None:
    """Use one thread in a forked process, as in nlp.pipe(n_process=2): it doesn't inherit OpenMP's
    threads and would wait for them forever. torch's DataLoader does the same in its workers.

    RAISES (RuntimeError): On a GPU that the parent has used: CUDA doesn't survive a fork.
    """
    # torch has no public function for this. It is False in a process that is the first to use CUDA.
    if device.type == "cuda" and torch.cuda._is_in_bad_fork():
        raise RuntimeError(
            "a forked process can't use the GPU of its parent: use nlp.pipe without n_process, or "
            "start processes that load the pipeline themselves (spacy ner predict --processes)"
        )
    if os.getpid() != LOADING_PROCESS:
        torch.set_num_threads(1)


def backward_batches(outputs: list[BatchOutput], d_hidden: torch.Tensor) -> None:
    """Backpropagate through the batches of windows, last one first, and release them.

    d_hidden (Tensor): Gradient of the hidden states of all documents: (n_wordpieces, width).
    """
    while outputs:
        output, cells, wordpieces = outputs.pop()
        gradient = torch.zeros_like(output)
        own = d_hidden.index_select(0, wordpieces).to(output.dtype)
        gradient.flatten(0, 1).index_copy_(0, cells, own)
        output.backward(gradient)


def forward_windows(
    model: Model[list[Doc], FullTransformerBatch], docs: list[Doc], is_train: bool
) -> tuple[FullTransformerBatch, Callable[[FullTransformerBatch], list[Doc]]]:
    shim = cast(AdamWShim, model.shims[0])
    windowing: Windowing = model.attrs["windowing"]
    check_after_fork(shim.device)
    if not any(len(doc) for doc in docs):
        return FullTransformerBatch.empty(len(docs)), lambda _: docs
    specials, size = measure_window(shim._hfmodel, windowing)
    limit = size - sum(map(len, specials)) - 2 * windowing.context
    wordpieces = shim.word_encoder().encode_docs(docs, limit, find_changes(model, docs))
    pad = shim._hfmodel.tokenizer.pad_token_id or 0
    if windowing.batch_wordpieces == "auto":
        n = auto_batch_wordpieces(shim.device, model.get_dim("nO"))
        windowing = replace(windowing, batch_wordpieces=n)
    batches = make_batches(docs, wordpieces, specials, size, windowing, pad)
    # The last row stays zeros, for documents of whitespace only.
    hidden = torch.zeros((len(wordpieces.ids) + 1, model.get_dim("nO")), device=shim.device)
    outputs = run_batches(shim, batches, windowing.precision, hidden, is_train)

    def backprop(d_batch: FullTransformerBatch) -> list[Doc]:
        if outputs:
            backward_batches(outputs, d_batch.model_output.last_hidden_state.to(shim.device))
        return docs

    return split_by_doc(docs, wordpieces, hidden), backprop


def run_batches(
    shim: AdamWShim,
    batches: list[Batch],
    precision: Precision,
    hidden: torch.Tensor,
    is_train: bool,
) -> list[BatchOutput]:
    """Run the transformer.

    hidden (Tensor): Filled with the hidden states, one row per wordpiece.
    RETURNS (list[BatchOutput]): In training, the output of each batch, for its gradient.
    """
    device = shim.device
    bfloat16 = precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))
    shim._model.train(is_train)
    run = partial(run_transformer, shim._model, bfloat16=bfloat16, is_train=is_train)
    outputs: list[BatchOutput] = []
    for i, batch in enumerate(batches, start=1):
        ids, mask, cases = torch.from_numpy(batch.inputs).to(device)
        cells, places = torch.from_numpy(numpy.stack([batch.cells, batch.wordpieces])).to(device)
        # The last batch is kept for the gradient, which begins with it. Earlier ones, as in a very
        # long document, are recomputed for theirs, so memory stays that of one batch. The inputs
        # are tensors on the device: by them, torch finds the random state to restore.
        if is_train and i < len(batches) and device.type in RECOMPUTING_DEVICES:
            output = checkpoint(run, ids, mask, cases, use_reentrant=False)
        else:
            output = run(ids, mask, cases)
        states = output.detach().flatten(0, 1).index_select(0, cells)
        hidden.index_copy_(0, places, states.to(hidden.dtype))
        if is_train:
            outputs.append((output, cells, places))
    return outputs


def run_transformer(
    transformer: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    cases: torch.Tensor,
    *,
    bfloat16: bool,
    is_train: bool,
) -> torch.Tensor:
    """Run the Hugging Face model on a batch of windows.

    ids, mask, cases (Tensor): Wordpieces, attention mask and letter cases, (n_windows, length).
    RETURNS (Tensor): Last hidden states: (n_windows, length, width).
    """
    with (
        torch.set_grad_enabled(is_train),
        torch.autocast(ids.device.type, torch.bfloat16, enabled=bfloat16),
    ):
        output = transformer(**embed(transformer, ids, cases), attention_mask=mask)
    return cast(torch.Tensor, output.last_hidden_state)


def embed(
    transformer: Any, ids: torch.Tensor, cases: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """RETURNS (dict[str, Tensor]): The model's inputs: the wordpieces, or their embeddings with
    those of the letter cases, if it has any."""
    if not hasattr(transformer, "case_embedding"):
        return {"input_ids": ids}
    embeddings = transformer.get_input_embeddings()(ids)
    return {"inputs_embeds": embeddings + transformer.case_embedding(cases)}


def split_by_doc(
    docs: list[Doc], wordpieces: Wordpieces, hidden: torch.Tensor
) -> FullTransformerBatch:
    """RETURNS (FullTransformerBatch): The output with a TransformerData for each document:
    hidden states (1, n_wordpieces, width), aligned with the words. Those of a document of
    whitespace are one row of zeros, which no word uses: spacy-transformers can't handle an output
    without rows."""
    states: ModelArray = torch2xp(hidden)
    bounds, words = wordpieces.before.tolist(), wordpieces.words_before.tolist()
    lengths = wordpieces.lengths.astype("i")
    longest = max(end - start for start, end in pairwise(bounds))
    indices, ones = numpy.arange(longest, dtype="i"), numpy.ones((1, longest), dtype="float32")
    doc_data = []
    for i, doc in enumerate(docs):
        if not len(doc):
            doc_data.append(TransformerData.empty())
            continue
        start, end = bounds[i], bounds[i + 1]
        n = end - start
        rows = states[start:end] if n else states[-1:]
        data = TransformerData(
            wordpieces=WordpieceBatch(
                strings=[wordpieces.strings[start:end]],
                input_ids=wordpieces.ids[None, start:end],
                attention_mask=ones[:, :n],
                lengths=[n],
                token_type_ids=None,
            ),
            model_output=BaseModelOutput(last_hidden_state=rows[None]),
            align=Ragged(cast(Any, indices[:n]), cast(Any, lengths[words[i] : words[i + 1]])),
        )
        doc_data.append(data)
    return WindowedBatch(
        spans=[[doc[:]] if len(doc) else [] for doc in docs],
        wordpieces=WordpieceBatch.empty(),
        model_output=BaseModelOutput(last_hidden_state=hidden[:-1]),
        align=Ragged(cast(Any, numpy.zeros(0, dtype="i")), cast(Any, numpy.zeros(0, dtype="i"))),
        cached_doc_data=doc_data,
    )
