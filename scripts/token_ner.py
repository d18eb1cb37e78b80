"""`token_ner`: named entities by one label a word on top of a pretrained transformer.

Two parts that spaCy's config system joins. The backbone cuts whole documents into windows of
wordpieces and runs a Hugging Face model on them. The head gives each word, from its first
wordpiece, a distribution over labels, and decodes each document by the best legal sequence. A
mention's score is the probability of exactly that span with that label: the share of all legal
sequences, each weighted by the product of its labels' probabilities, that contain it.

The file is complete in itself: it goes into the wheel, and `spacy train --code` takes it.
"""

import math
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import numpy
import torch
from spacy.errors import Errors
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example
from spacy.util import registry
from spacy.vocab import Vocab
from spacy_transformers.data_classes import (
    FullTransformerBatch,
    HFObjects,
    TransformerData,
    WordpieceBatch,
)
from spacy_transformers.layers import TransformerListener, split_trf_batch
from spacy_transformers.layers.hf_shim import HFShim
from spacy_transformers.layers.transformer_model import huggingface_from_pretrained
from thinc.api import (
    Config,
    Dropout,
    Linear,
    Model,
    Optimizer,
    chain,
    torch2xp,
    with_array,
    xp2torch,
)
from thinc.types import Floats2d, Ragged
from torch.utils.checkpoint import checkpoint
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast
from transformers.modeling_outputs import BaseModelOutput

Array = numpy.ndarray
ModelArray = Any  # of numpy or CuPy, where the model is
Precision = Literal["auto", "float32", "bfloat16"]
Scheme = Literal["bio", "bilou"]
Specials = tuple[list[int], list[int]]  # special tokens' ids, before and after a text

DEFAULT_CONFIG = Config().from_str(
    """
[model]
@architectures = "conll_ner.TokenClassifier.v1"

[model.tok2vec]
@architectures = "conll_ner.FirstWordpiece.v1"
upstream = "*"
"""
)
BIO_PREFIXES = {"B": "B", "I": "I", "L": "I", "U": "B"}  # of BILUO, as spaCy gives gold
PROCESS = os.getpid()
# Few shapes of batches: the CPU's compiled kernels are kept one set a shape, and memory that a
# shape has freed is used by the same shape again (docs/recipe.md).
PAD_MULTIPLE = 32
GROUP_MARK = "token_ner"  # span groups with attrs["by"] of this value hold scored mentions


# --- Windows: documents to wordpieces to what the transformer reads ---


@dataclass(frozen=True)
class Windowing:
    """How documents are cut and batched for the transformer. Not part of a saved model: the
    config decides, so that a trained pipeline can be run with other values.

    window (int | None): Wordpieces in a window, special tokens counted; None for the model's
        maximum.
    context (int): Wordpieces of its neighbours that a window repeats on each side, read and not
        predicted.
    batch_wordpieces (int): Wordpieces, padding counted, that go through the model at once.
    precision (Precision): "auto" is bfloat16 where processor or GPU have it natively.
    sentence_windows (bool): A window is one sentence, or a part of one that is too long.
    """

    window: int | None
    context: int
    batch_wordpieces: int
    precision: Precision
    sentence_windows: bool = False


class Wordpieces(NamedTuple):
    """The wordpieces of one document, special tokens not among them."""

    ids: Array  # (n_wordpieces,)
    strings: list[str]  # (n_wordpieces,)
    lengths: Array  # (n_words,): wordpieces of each word; none for whitespace
    cases: Array  # (n_wordpieces,): the `letter_case` of their words


class Window(NamedTuple):
    """One input of the transformer, and which of its outputs are kept."""

    ids: Array  # (length,), special tokens included
    cases: Array  # (length,)
    core: slice  # the wordpieces predicted from this window, as indices into `ids`
    row: int  # where the core begins among the wordpieces of all documents


# A word's letter case: none or lower, Title, UPPER, a single upper-case letter, anyThing else.
N_CASES = 5


def letter_case(word: str) -> int:
    """RETURNS (int): The word's class, 0 … N_CASES - 1."""
    if word == word.lower():
        return 0
    if word == word.upper():
        return 2 if sum(map(str.isalpha, word)) > 1 else 3
    return 1 if word[0].isupper() and word[1:] == word[1:].lower() else 4


def tokenize(tokenizer: Any, docs: Sequence[Doc], limit: int) -> list[Wordpieces]:
    """Cut words into wordpieces. Of a word longer than a window, its first `limit` wordpieces
    are kept, the first of which gives the label.

    tokenizer: A fast tokenizer of transformers.
    """
    filled = [doc for doc in docs if len(doc)]
    encodings = tokenizer(
        [[token.text for token in doc] for doc in filled],
        is_split_into_words=True,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,  # "longer than the maximum": that is what windows are for
    ).encodings
    none = numpy.zeros(0, dtype="int64")
    remaining = iter(encodings)
    result = []
    for doc in docs:
        if not len(doc):
            result.append(Wordpieces(none, [], none, none))
            continue
        encoding = next(remaining)
        ids = numpy.array(encoding.ids, dtype="int64")
        words = numpy.array(encoding.word_ids, dtype="int64")
        strings = encoding.tokens
        lengths = numpy.bincount(words, minlength=len(doc))
        if lengths.max() > limit:
            position = numpy.arange(len(words)) - (numpy.cumsum(lengths) - lengths)[words]
            kept = position < limit
            ids = ids[kept]
            strings = [string for string, keep in zip(strings, kept, strict=True) if keep]
            lengths = numpy.minimum(lengths, limit)
        cases = numpy.array([letter_case(token.text) for token in doc], dtype="int64")
        result.append(Wordpieces(ids, strings, lengths, numpy.repeat(cases, lengths)))
    return result


def cut(lengths: Array, sentence_starts: Array, capacity: int) -> Array:
    """Cut a document into parts of nearly equal length, at the start of a sentence where one
    is near, else between words.

    lengths (Array): Wordpieces of each word, none above `capacity`.
    sentence_starts (Array): Indices of the words that start a sentence, ascending.
    capacity (int): Most wordpieces in a part.
    RETURNS (Array): The wordpieces before each part, and at last all: (n_parts + 1,).
    """
    before = numpy.concatenate([[0], numpy.cumsum(lengths)])  # (n_words + 1,)
    total = int(before[-1])
    sentences = before[sentence_starts]
    cuts = [0]
    while total - cuts[-1] > capacity:
        start = cuts[-1]
        size = (total - start) / math.ceil((total - start) / capacity)
        latest = before[numpy.searchsorted(before, start + capacity, side="right") - 1]
        near = sentences[(sentences >= start + size / 2) & (sentences <= latest)]
        candidates = near if len(near) else before[(before > start) & (before <= latest)]
        cuts.append(int(candidates[numpy.abs(candidates - start - size).argmin()]))
    return numpy.array([*cuts, total])


def cut_sentences(lengths: Array, sentence_starts: Array, capacity: int) -> Array:
    """Cut a document at the start of every sentence, and longer sentences between words.
    Arguments and result are those of `cut`."""
    bounds = sorted({0, *sentence_starts.tolist(), len(lengths)})
    cuts = [0]
    for first, last in pairwise(bounds):
        parts = cut(lengths[first:last], numpy.zeros(0, dtype="int64"), capacity)
        cuts += (cuts[-1] + parts[1:]).tolist()
    return numpy.array(cuts)


def special_tokens(tokenizer: Any) -> Specials:
    """RETURNS (Specials): The ids that the model wants before and after a text."""
    encoding = tokenizer("a", return_special_tokens_mask=True)
    ids, special = encoding["input_ids"], encoding["special_tokens_mask"]
    first = special.index(0)
    last = len(special) - special[::-1].index(0)
    return ids[:first], ids[last:]


def sentence_starts(doc: Doc) -> Array:
    """RETURNS (Array): Indices of the words that start a sentence; none if that isn't known."""
    if not doc.has_annotation("SENT_START"):
        return numpy.zeros(0, dtype="int64")
    return numpy.flatnonzero(doc.to_array("SENT_START") == 1)


def make_windows(
    docs: Sequence[Doc],
    wordpieces: Sequence[Wordpieces],
    specials: Specials,
    size: int,
    windowing: Windowing,
) -> list[Window]:
    """Cut documents into windows so that each wordpiece is in the core of exactly one, with at
    least `context` wordpieces of its document on each side, or all that there are.

    size (int): Most wordpieces in a window, special tokens counted.
    """
    context = windowing.context
    cut_document = cut_sentences if windowing.sentence_windows else cut
    prefix, suffix = specials
    room = size - len(prefix) - len(suffix)
    windows = []
    row = 0
    for doc, pieces in zip(docs, wordpieces, strict=True):
        total = len(pieces.ids)
        fits = total <= room and not windowing.sentence_windows
        capacity = room if fits else room - 2 * context
        cuts = cut_document(pieces.lengths, sentence_starts(doc), capacity)
        for start, end in pairwise(cuts):
            first, last = max(0, start - context), min(total, end + context)
            ids = numpy.concatenate([prefix, pieces.ids[first:last], suffix]).astype("int64")
            cases = numpy.pad(pieces.cases[first:last], (len(prefix), len(suffix)))
            offset = len(prefix) + start - first
            core = slice(offset, offset + end - start)
            if end > start:
                windows.append(Window(ids, cases, core, row + start))
        row += max(1, total) if len(doc) else 0
    return windows


def batch_windows(
    windows: Sequence[Window], size: int, batch_wordpieces: int
) -> Iterator[tuple[list[Window], int]]:
    """Batch windows of like length.

    size (int): Most wordpieces in a window.
    YIELDS (tuple[list[Window], int]): Windows, and the length that they are padded to: the
        longest's, rounded up. The padded size is at most `batch_wordpieces`, or it is one window
        alone.
    """
    batch: list[Window] = []
    length = 0
    for window in sorted(windows, key=lambda window: -len(window.ids)):
        if batch and (len(batch) + 1) * length > batch_wordpieces:
            yield batch, length
            batch = []
        if not batch:
            length = min(size, math.ceil(len(window.ids) / PAD_MULTIPLE) * PAD_MULTIPLE)
        batch.append(window)
    if batch:
        yield batch, length


# --- The backbone: a Hugging Face model on windows, for spaCy's `transformer` ---


@registry.architectures("conll_ner.WindowedTransformer.v1")
def build_windowed_transformer(
    name: str,
    window: int | None = None,
    context: int = 0,
    batch_wordpieces: int = 4096,
    precision: Precision = "auto",
    sentence_windows: bool = False,
    case_embedding: bool | None = None,
    tokenizer_config: dict[str, Any] = {},  # noqa: B006
    transformer_config: dict[str, Any] = {},  # noqa: B006
) -> Model[list[Doc], FullTransformerBatch]:
    """A pretrained model for the `transformer` factory that reads documents of any length.

    name (str): A hub id or a folder; its tokenizer must be a fast one.
    case_embedding (bool | None): Whether the model is told the letter case of words, by a learnt
        vector that is added to a wordpiece's embedding; None does so where the tokenizer makes
        "A" and "a" one. Settled when the weights are first loaded.
    tokenizer_config (dict): Further arguments for the tokenizer.
    transformer_config (dict): Further values for the model's config.
    The other arguments are those of Windowing.
    """
    if context < 0 or batch_wordpieces < 1:
        raise ValueError(
            f"context must be 0 or more and batch_wordpieces 1 or more, "
            f"not {context} and {batch_wordpieces}"
        )
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f'precision must be "auto", "float32" or "bfloat16", not "{precision}"')
    unloaded = HFObjects(None, None, None, dict(tokenizer_config), dict(transformer_config))
    return Model(
        "windowed-transformer",
        forward_windows,
        init=load_pretrained,
        dims={"nO": None},
        attrs={
            "pretrained": name,
            "windowing": Windowing(window, context, batch_wordpieces, precision, sentence_windows),
            "case_embedding": case_embedding,
            # What Language.replace_listeners asks for.
            "replace_listener": lambda model: chain(model, split_trf_batch()),
            "replace_listener_cfg": own_transformer_config,
        },
        shims=[AdamWShim(unloaded, model_cls=TransformerClass, grad_scaler_config={})],
    )


@registry.architectures("conll_ner.FirstWordpieceTransformer.v1")
def build_first_wordpiece_transformer(
    name: str,
    window: int | None = None,
    context: int = 0,
    batch_wordpieces: int = 4096,
    precision: Precision = "auto",
    sentence_windows: bool = False,
    case_embedding: bool | None = None,
    tokenizer_config: dict[str, Any] = {},  # noqa: B006
    transformer_config: dict[str, Any] = {},  # noqa: B006
) -> Model[list[Doc], list[Floats2d]]:
    """WindowedTransformer and FirstWordpiece in one, for a head with a transformer of its own:
    what `nlp.replace_listeners` makes."""
    transformer = build_windowed_transformer(
        name,
        window,
        context,
        batch_wordpieces,
        precision,
        sentence_windows,
        case_embedding,
        tokenizer_config,
        transformer_config,
    )
    # A chain in a chain: the structure that replace_listeners leaves.
    return chain(chain(transformer, split_trf_batch()), first_wordpiece())


def own_transformer_config(
    transformer: dict[str, Any],
    listener: dict[str, Any],  # noqa: ARG001
) -> dict[str, Any]:
    """RETURNS (dict): The config of a head's transformer of its own, from the shared one's."""
    return transformer | {"@architectures": "conll_ner.FirstWordpieceTransformer.v1"}


class TokenizerClass:
    """Loads a tokenizer, for huggingface_from_pretrained."""

    @staticmethod
    def from_pretrained(source: str, **settings: Any) -> Any:
        """RETURNS (PreTrainedTokenizerBase): The tokenizer; one that was made of a tokenizer.json
        alone, as many of XLM-R are, without the SentencePiece file that HFShim would ask for."""
        tokenizer = AutoTokenizer.from_pretrained(source, **settings)
        if not tokenizer.is_fast or getattr(tokenizer, "vocab_file", source) is not None:
            return tokenizer
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer.backend_tokenizer,
            model_max_length=tokenizer.model_max_length,
            **tokenizer.special_tokens_map,
        )


class TransformerClass:
    """Makes a saved model anew, for HFShim, which then loads the weights."""

    @staticmethod
    def from_config(config: Any) -> Any:
        """RETURNS (PreTrainedModel): The model of a config, with its case embedding if it has
        one."""
        if getattr(config, "layer_norm_eps", None) == 0:
            config.layer_norm_eps = 1e-12  # BERT's, which HFShim's JSON rounds off to 0
        transformer = AutoModel.from_config(config)
        drop_pooler(transformer)
        if getattr(config, "case_embedding", False):
            add_case_embedding(transformer)
        return transformer


def drop_pooler(transformer: Any) -> None:
    """Take away BERT's layer for whole texts, which no word looks at. Not every checkpoint has
    one: without it, all are alike."""
    if getattr(transformer, "pooler", None) is not None:
        transformer.pooler = None


def add_case_embedding(transformer: Any) -> None:
    """Give a model a vector for each `letter_case`, from zeros: at first it changes nothing. As
    part of the model it is trained, moved and saved with it."""
    transformer.config.case_embedding = True
    width = transformer.get_input_embeddings().embedding_dim
    transformer.case_embedding = torch.nn.Embedding(N_CASES, width, device=transformer.device)
    torch.nn.init.zeros_(transformer.case_embedding.weight)


class AdamWShim(HFShim):  # type: ignore[misc]
    """Updates the model by torch's fused AdamW, with the config's Adam numbers, instead of
    thinc's, one parameter at a time.

    Weight decay leaves out biases and norms, and gradients are clipped by their global norm, as
    in google-research/bert (optimization.py). Where the config asks for what this isn't (RAdam,
    SGD, L2 in the gradient, averages), thinc's optimizer works as ever.
    """

    _optimizer: torch.optim.AdamW | None

    def finish_update(self, optimizer: Optimizer) -> None:
        is_adam = optimizer.b1 > 0 and optimizer.b2 > 0 and not optimizer.use_radam
        if not is_adam or not optimizer.L2_is_weight_decay or optimizer.averages is not None:
            super().finish_update(optimizer)
            return
        parameters = [p for p in self._model.parameters() if p.requires_grad]
        if self._optimizer is None:
            self._optimizer = torch.optim.AdamW(
                [
                    {"params": [p for p in parameters if p.ndim >= 2]},
                    {"params": [p for p in parameters if p.ndim < 2]},
                ],
                betas=(optimizer.b1, optimizer.b2),
                eps=optimizer.eps,
                fused=True,
            )
        for group, decay in zip(self._optimizer.param_groups, (optimizer.L2, 0.0), strict=True):
            group["lr"] = optimizer.learn_rate
            group["weight_decay"] = decay
        if optimizer.grad_clip:
            torch.nn.utils.clip_grad_norm_(parameters, optimizer.grad_clip)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def from_bytes(self, bytes_data: bytes) -> "AdamWShim":
        self._optimizer = None  # it belongs to the parameters that are replaced now
        super().from_bytes(bytes_data)
        return self


def load_pretrained(
    model: Model[list[Doc], FullTransformerBatch],
    X: list[Doc] | None = None,  # noqa: ARG001
    Y: Any = None,  # noqa: ARG001
) -> None:
    """Load tokenizer and weights, once: a model that has them keeps them."""
    shim = cast(AdamWShim, model.shims[0])
    if shim._model is not None:
        return
    hf = shim._hfmodel
    # Without a space before it, RoBERTa's tokenizer takes no word of a split text.
    tokenizer_config = {"add_prefix_space": True} | hf._init_tokenizer_config
    loaded = huggingface_from_pretrained(
        model.attrs["pretrained"],
        tokenizer_config,
        hf._init_transformer_config,
        tokenizer_cls=TokenizerClass,
    )
    if not loaded.tokenizer.is_fast:
        raise ValueError(
            f"{model.attrs['pretrained']}: {type(loaded.tokenizer).__name__} is a slow tokenizer; "
            "windows need a fast one (a tokenizer.json in the model's folder)"
        )
    drop_pooler(loaded.transformer)
    with_case = model.attrs["case_embedding"]
    if with_case is None:
        lower, upper = loaded.tokenizer(["a", "A"], add_special_tokens=False)["input_ids"]
        with_case = lower == upper
    if with_case:
        add_case_embedding(loaded.transformer)
    shim._model, shim._hfmodel = loaded.transformer, loaded
    # An impossible window is told of now.
    window_size(loaded, special_tokens(loaded.tokenizer), model.attrs["windowing"])
    model.set_dim("nO", loaded.transformer.config.hidden_size)


def window_size(hf: HFObjects, specials: Specials, windowing: Windowing) -> int:
    """RETURNS (int): Wordpieces in a window, special tokens counted.
    RAISES (ValueError): If the model can't read that many, or context leaves no room."""
    maximum = hf.tokenizer.model_max_length
    positions = getattr(hf.transformer.config, "max_position_embeddings", None) or maximum
    if maximum > positions:
        # The tokenizer knows no maximum; RoBERTa and its like lose pad_token_id + 1 positions.
        maximum = positions - (hf.transformer.config.pad_token_id or 0) - 1
    window = maximum if windowing.window is None else windowing.window
    if window > maximum:
        raise ValueError(f"window is {window} wordpieces, but the model reads {maximum} at most")
    n_specials = sum(map(len, specials))
    if window - n_specials - 2 * windowing.context < 1:
        raise ValueError(
            f"a window of {window} wordpieces has no room for {n_specials} special tokens and "
            f"{windowing.context} wordpieces of context on each side"
        )
    return int(window)


def has_bfloat16(device: torch.device) -> bool:
    """RETURNS (bool): Whether the device multiplies matrices in bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


class WindowedBatch(FullTransformerBatch):  # type: ignore[misc]
    """The transformer's output, one row a wordpiece, document after document."""

    def unsplit_by_doc(self, arrays: list[list[Any]]) -> FullTransformerBatch:
        """RETURNS (FullTransformerBatch): Gradients of the documents that have wordpieces, each
        (1, n_wordpieces, width), as one of (n_wordpieces of all, width)."""
        tensors = [xp2torch(array) for (array,) in arrays]
        gradient = BaseModelOutput(last_hidden_state=torch.cat(tensors, dim=1)[0])
        return WindowedBatch(self.spans, self.wordpieces, gradient, self.align)


def forward_windows(
    model: Model[list[Doc], FullTransformerBatch], docs: list[Doc], is_train: bool
) -> tuple[FullTransformerBatch, Callable[[FullTransformerBatch], list[Doc]]]:
    shim = cast(AdamWShim, model.shims[0])
    windowing: Windowing = model.attrs["windowing"]
    hf = shim._hfmodel
    if os.getpid() != PROCESS:
        # A fork, as of nlp.pipe(n_process=2): OpenMP's threads didn't come along, and waiting
        # for them would take for ever. torch's own data loader does the same in its workers.
        torch.set_num_threads(1)
    if not any(len(doc) for doc in docs):
        return FullTransformerBatch.empty(len(docs)), lambda _: docs
    specials = special_tokens(hf.tokenizer)
    size = window_size(hf, specials, windowing)
    room = size - sum(map(len, specials))
    wordpieces = tokenize(hf.tokenizer, docs, room - 2 * windowing.context)
    windows = make_windows(docs, wordpieces, specials, size, windowing)
    # A document of nothing but whitespace has one row of zeros, which no word looks at: a model
    # output without rows is more than spacy-transformers can take.
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
    for batch, length in batch_windows(windows, size, windowing.batch_wordpieces):
        # One batch is kept for the gradient; if there are more, as for a very long document, they
        # are computed again for theirs: memory stays that of one batch.
        again = is_train and bool(outputs)
        output = (
            checkpoint(run, batch, length, use_reentrant=False) if again else run(batch, length)
        )
        for window, states in zip(batch, output.detach(), strict=True):
            core = states[window.core]
            hidden[window.row : window.row + len(core)] = core
        if is_train:
            outputs.append((batch, output))

    def backprop(d_batch: FullTransformerBatch) -> list[Doc]:
        d_hidden = d_batch.model_output.last_hidden_state
        while outputs:
            batch, output = outputs.pop()
            gradient = torch.zeros_like(output)
            for window, d_states in zip(batch, gradient, strict=True):
                core = d_states[window.core]
                core.copy_(d_hidden[window.row : window.row + len(core)])
            output.backward(gradient)
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


# --- The head's model: a distribution over labels for each word's first wordpiece ---


@registry.architectures("conll_ner.TokenClassifier.v1")
def build_token_classifier(
    tok2vec: Model[list[Doc], list[Floats2d]],
    nO: int | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """Dropout and one linear layer on word vectors; the output is one row of logits a word.

    tok2vec (Model): Any layer with a vector for each word.
    nO (int | None): The number of labels; set when the component is initialized.
    """
    output = Linear(nO=nO)
    head: Model[Any, Any] = chain(Dropout(), output)
    model: Model[list[Doc], list[Floats2d]] = chain(tok2vec, with_array(head))
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("output", output)
    return model


@registry.architectures("conll_ner.FirstWordpiece.v1")
def build_first_wordpiece(upstream: str = "*") -> Model[list[Doc], list[Floats2d]]:
    """The vectors of the words' first wordpieces, from a `transformer` earlier in the pipeline.

    upstream (str): The transformer's name in the pipeline; "*" for whichever there is.
    """
    listener = TransformerListener(upstream_name=upstream)
    model: Model[list[Doc], list[Floats2d]] = chain(listener, first_wordpiece())
    model.set_ref("listener", listener)
    return model


def first_wordpiece() -> Model[list[TransformerData], list[Floats2d]]:
    """A layer that takes each word's first wordpiece; zeros for a word that has none, as
    whitespace."""
    return Model("first-wordpiece", forward_first_wordpiece)


def forward_first_wordpiece(
    model: Model[list[TransformerData], list[Floats2d]],
    datas: list[TransformerData],
    is_train: bool,  # noqa: ARG001
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[TransformerData]]]:
    outputs = []
    sources: list[tuple[Any, Array, Array] | None] = []
    for data in datas:
        if "last_hidden_state" not in data.model_output:  # an empty document
            outputs.append(model.ops.alloc2f(0, 0))
            sources.append(None)
            continue
        states = data.model_output.last_hidden_state
        lengths = model.ops.to_numpy(data.align.lengths)
        words = numpy.flatnonzero(lengths)
        indices = model.ops.to_numpy(data.align.dataXd)
        pieces = indices[(numpy.cumsum(lengths) - lengths)[words]]
        vectors: ModelArray = model.ops.alloc2f(len(lengths), states.shape[-1])
        vectors[words] = states.reshape(-1, states.shape[-1])[pieces]
        outputs.append(vectors)
        sources.append((states, words, pieces))

    def backprop(d_outputs: list[ModelArray]) -> list[TransformerData]:
        gradients = []
        for data, source, d_vectors in zip(datas, sources, d_outputs, strict=True):
            if source is None:
                continue  # as spacy-transformers' own layer: empty documents have no gradient
            states, words, pieces = source
            d_states = model.ops.alloc(states.shape, dtype=states.dtype)
            # Adding: two words can share a wordpiece of spacy-transformers' own model.
            flat = d_states.reshape(-1, states.shape[-1])
            model.ops.scatter_add(flat, model.ops.asarray1i(cast(Any, pieces)), d_vectors[words])
            gradients.append(
                TransformerData(
                    wordpieces=data.wordpieces,
                    model_output=BaseModelOutput(last_hidden_state=d_states),
                    align=data.align,
                )
            )
        return gradients

    # An empty document's vectors have the width of the others, so that they can be stacked.
    width = max((output.shape[1] for output in outputs), default=0)
    return [o if o.shape[1] else model.ops.alloc2f(0, width) for o in outputs], backprop


# --- Decoding: the best legal sequence of labels, and the probability of a mention ---
#
# The lattice of a label scheme has the states 0, no mention open, and k = 1 … K, a mention of
# the k-th type open. A word moves from state to state by its label:
#
#     bio     any -> 0 by O     any -> k by B-k     k -> k by I-k
#     bilou   0 -> 0 by O or any U-k     0 -> k by B-k     k -> k by I-k     k -> 0 by L-k
#
# so in BIO a mention stays open until the word after it. Columns of labels: O, then all B, all
# I, and in BILOU all L and all U, types in one order.


@dataclass(frozen=True)
class Lattice:
    """The legal sequences of a label scheme.

    n_types (int): K above.
    bilou (bool): Whether L and U labels are there, beside O, B and I.
    """

    n_types: int
    bilou: bool

    @property
    def n_labels(self) -> int:
        return 1 + self.n_types * (4 if self.bilou else 2)

    @property
    def separator(self) -> Array:
        """The log-probabilities (1, n_labels) of a word that can only be O: what stands between
        documents, so that no mention reaches from one into the next."""
        return numpy.array([[0.0] + [-numpy.inf] * (self.n_labels - 1)])

    def groups(self, words: Array) -> list[Array]:
        """RETURNS (list[Array]): Columns of O (..., 1), B, I, and in BILOU L and U (..., K)."""
        bounds = [1 + i * self.n_types for i in range(4 if self.bilou else 2)]
        return numpy.split(words, bounds, axis=-1)

    def advance(self, before: Array, words: Array, plus: numpy.ufunc) -> Array:
        """One word of the forward recursion.

        before (Array): Log-weights of all that leads to a state: (..., 1 + K).
        words (Array): Log-probabilities of labels, (..., n_labels).
        plus (numpy.ufunc): numpy.logaddexp sums over sequences, numpy.maximum takes the best.
        RETURNS (Array): Log-weights after the word, (..., 1 + K).
        """
        outside, begin, inside, *rest = self.groups(words)
        closed, opened = before[..., :1], before[..., 1:]
        if rest:
            last, unit = rest
            outside = plus(outside, plus.reduce(unit, axis=-1, keepdims=True))
            ended = plus.reduce(opened + last, axis=-1, keepdims=True)
            to_closed, source = plus(closed + outside, ended), closed
        else:
            source = plus.reduce(before, axis=-1, keepdims=True)
            to_closed = source + outside
        return numpy.concatenate([to_closed, plus(source + begin, opened + inside)], axis=-1)

    def retreat(self, after: Array, words: Array, plus: numpy.ufunc) -> Array:
        """One word of the backward recursion.

        after (Array): Log-weights of all that can follow from a state: (..., 1 + K).
        RETURNS (Array): The same before the word, (..., 1 + K).
        """
        outside, begin, inside, *rest = self.groups(words)
        closed, opened = after[..., :1], after[..., 1:]
        if rest:
            last, unit = rest
            outside = plus(outside, plus.reduce(unit, axis=-1, keepdims=True))
        begun = plus.reduce(begin + opened, axis=-1, keepdims=True)
        from_closed = plus(outside + closed, begun)
        ended = last + closed if rest else from_closed
        return numpy.concatenate([from_closed, plus(inside + opened, ended)], axis=-1)

    def best_choice(self, words: Array, after: Array) -> tuple[Array, Array]:
        """The label that the best sequence takes from each state.

        words (Array): (n_words, n_labels).
        after (Array): Weights of the best that can follow from a state: (n_words, 1 + K).
        RETURNS (tuple[Array, Array]): Labels and the states that they lead to, each
            (n_words, 1 + K).
        """
        n, k = len(words), self.n_types
        types = numpy.arange(1, k + 1)
        outside, begin, inside, *rest = self.groups(words)
        closed, opened = after[:, :1], after[:, 1:]
        # From a closed state, in the order of columns: O, B, and U in BILOU.
        options = [outside + closed, begin + opened]
        labels = [0, *types]
        leads_to = [0, *types]
        if rest:
            last, unit = rest
            options.append(unit + closed)
            labels += [*(types + 3 * k)]
            leads_to += [0] * k
        weights = numpy.concatenate(options, axis=1)
        best = weights.argmax(axis=1)[:, None]
        label = numpy.broadcast_to(numpy.array(labels)[best], (n, 1 + k)).copy()
        state = numpy.broadcast_to(numpy.array(leads_to)[best], (n, 1 + k)).copy()
        # From an open one: on by I, or in BIO what follows a closed one, in BILOU its L.
        if rest:
            label[:, 1:], state[:, 1:] = types + 2 * k, 0
            other = last + closed
        else:
            other = numpy.take_along_axis(weights, best, axis=1)
        on = inside + opened > other
        label[:, 1:] = numpy.where(on, types + k, label[:, 1:])
        state[:, 1:] = numpy.where(on, types, state[:, 1:])
        return label, state


Step = Callable[[Array, Array, numpy.ufunc], Array]  # Lattice.advance or Lattice.retreat


def scan(lattice: Lattice, step: Step, words: Array, plus: numpy.ufunc) -> Array:
    """Run a recursion over a chain of words in about 3 sqrt(n) vectorised steps instead of n.

    The chain is cut into blocks of sqrt(n) words. As the recursion is linear (in the semiring
    of `plus` and +), a block is a matrix: first all blocks' matrices side by side, then the
    chain of blocks, then all blocks' words side by side
    (https://en.wikipedia.org/wiki/Prefix_sum#Parallel_algorithms).

    words (Array): (n_words, n_labels). The chain begins in state 0.
    RETURNS (Array): Weights before each word, and at last after all: (n_words + 1, 1 + K).
    """
    n_states = 1 + lattice.n_types
    blocks = in_blocks(words, lattice.separator)  # (n_blocks, size, n_labels)
    n_blocks, size, _ = blocks.shape
    one = numpy.where(numpy.eye(n_states, dtype=bool), 0.0, -numpy.inf)
    matrices = numpy.broadcast_to(one, (n_blocks, n_states, n_states))
    for i in range(size):
        matrices = step(matrices, blocks[:, None, i], plus)
    starts = numpy.empty((n_blocks, n_states))
    vector = one[0]
    for block, matrix in enumerate(matrices):
        starts[block] = vector
        vector = plus.reduce(vector[:, None] + matrix, axis=0)
    states = numpy.empty((n_blocks, size, n_states))
    vectors = starts
    for i in range(size):
        states[:, i] = vectors
        vectors = step(vectors, blocks[:, i], plus)
    return states.reshape(-1, n_states)[: len(words) + 1]


def in_blocks(rows: Array, padding: Array) -> Array:
    """RETURNS (Array): (n, width) as (n_blocks, size, width), with at least one row of padding,
    sqrt(n) blocks of sqrt(n) rows."""
    size = math.isqrt(len(rows)) + 1
    n_blocks = len(rows) // size + 1
    filling = numpy.repeat(padding, n_blocks * size - len(rows), axis=0)
    return numpy.concatenate([rows, filling]).reshape(n_blocks, size, -1)


def follow(leads_to: Array) -> Array:
    """Walk from state 0 by a table, in blocks as `scan`.

    leads_to (Array): The state after each word, given the state before it: (n_words, n_states).
    RETURNS (Array): The state before each word: (n_words,).
    """
    n_states = leads_to.shape[1]
    blocks = in_blocks(leads_to, numpy.arange(n_states)[None])
    n_blocks, size, _ = blocks.shape
    reached = numpy.broadcast_to(numpy.arange(n_states), (n_blocks, n_states))
    for i in range(size):
        reached = numpy.take_along_axis(blocks[:, i], reached, axis=1)
    current = numpy.zeros(n_blocks, dtype="int64")
    for block in range(1, n_blocks):
        current[block] = reached[block - 1, current[block - 1]]
    states = numpy.empty((n_blocks, size), dtype="int64")
    for i in range(size):
        states[:, i] = current
        current = blocks[numpy.arange(n_blocks), i, current]
    return states.reshape(-1)[: len(leads_to)]


class Mentions(NamedTuple):
    """Mentions in a chain of words, in order."""

    starts: Array  # (n_mentions,)
    ends: Array  # (n_mentions,): the word after the last
    types: Array  # (n_mentions,): 0 … K - 1
    scores: Array  # (n_mentions,): probabilities


def decode(lattice: Lattice, words: Array) -> Mentions:
    """Find the mentions of the best legal sequence, and their probabilities.

    Viterbi and forward-backward (Rabiner 1989, https://doi.org/10.1109/5.18626).

    words (Array): Log-probabilities of labels, (n_words, n_labels), the last a separator.
    """
    reverse = words[::-1]
    best_after = scan(lattice, lattice.retreat, reverse, numpy.maximum)[-2::-1]
    label_table, state_table = lattice.best_choice(words, best_after)
    rows = numpy.arange(len(words))
    labels = label_table[rows, follow(state_table)]

    starts, ends, types = find_mentions(lattice, labels)
    before = scan(lattice, lattice.advance, words, numpy.logaddexp)
    after = scan(lattice, lattice.retreat, reverse, numpy.logaddexp)[::-1]
    total = before[-1, 0]
    if lattice.bilou:
        before_mention = before[starts, 0]
    else:
        before_mention = numpy.logaddexp.reduce(before[starts], axis=1)
    label_scores = numpy.concatenate([[0.0], numpy.cumsum(words[rows, labels])])
    own = label_scores[ends] - label_scores[starts]
    scores = numpy.exp(before_mention + own + after[ends, 0] - total)
    return Mentions(starts, ends, types, numpy.minimum(scores, 1.0))


def find_mentions(lattice: Lattice, labels: Array) -> tuple[Array, Array, Array]:
    """RETURNS (tuple[Array, Array, Array]): Starts, ends and types of the mentions of a legal
    sequence of labels (n_words,) that ends with O."""
    k = lattice.n_types
    kinds = (labels - 1) // k  # O -1, B 0, I 1, L 2, U 3
    starts = numpy.flatnonzero((kinds == 0) | (kinds == 3))
    others = numpy.flatnonzero((kinds != 1) & (kinds != 2))  # where a mention before is over
    ends = others[numpy.searchsorted(others, starts, side="right")]
    return starts, ends, (labels[starts] - 1) % k


# --- The component ---


class Mention(NamedTuple):
    """A predicted mention of one document."""

    start: int  # index of its first word
    end: int  # index after its last word
    label: str
    score: float  # probability of exactly this span with this label


def make_token_ner(
    nlp: Language,
    name: str,
    model: Model[list[Doc], list[Floats2d]],
    scheme: Scheme,
    threshold: float | None,
    learn_rate_factor: float,
    scorer: Callable[..., Any] | None,
) -> "TokenNER":
    return TokenNER(
        nlp.vocab,
        model,
        name,
        scheme=scheme,
        threshold=threshold,
        learn_rate_factor=learn_rate_factor,
        scorer=scorer,
    )


# Once: two installed pipelines bring the same code under two names, and spaCy refuses a factory
# that is defined twice.
if not Language.has_factory("token_ner"):
    Language.factory(
        "token_ner",
        assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type", "span._.score"],
        default_config={
            "model": DEFAULT_CONFIG["model"],
            "scheme": "bio",
            "threshold": None,
            "learn_rate_factor": 1.0,
            "scorer": {"@scorers": "spacy.ner_scorer.v1"},
        },
        default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
        func=make_token_ner,
    )


def span_score(span: Span) -> float | None:
    """RETURNS (float | None): The probability that a mention was predicted with: of exactly its
    span with its label. None for a span that `token_ner` didn't predict."""
    key = (span.start, span.end)
    for group in span.doc.spans.values():
        if group.attrs.get("by") != GROUP_MARK:
            continue
        i = bisect_left(group, key, key=lambda mention: (mention.start, mention.end))
        if (
            i < len(group)
            and (group[i].start, group[i].end) == key
            and group[i].label == span.label
        ):
            return cast(float, group.attrs["scores"][i])
    return None


if not Span.has_extension("score"):
    Span.set_extension("score", getter=span_score)


class TokenNER(TrainablePipe):  # type: ignore[misc]
    """Named-entity recognition by one label a word, a legal sequence of them, and a score for
    each mention.

    Mentions are in `doc.ents`, and in `doc.spans[name]` (name: the component's, "token_ner"
    unless it is given another), in the same order, with `attrs["scores"]` parallel to them; the
    score of an `ent` is `ent._.score` too. A score is the probability of exactly that span with
    that label: the share of all legal label sequences of the document, each weighted by the
    product of its labels' probabilities, in which it is a mention.

    vocab (Vocab): The shared vocabulary.
    model (Model): Gives each word of a document a row of logits.
    name (str): The component's name.
    scheme (str): "bio" or "bilou": the labels that the model learns.
    threshold (float | None): Mentions with a lower score are left out; None keeps all.
    learn_rate_factor (float): The head's learning rate, as a multiple of the optimizer's.
    scorer (Callable | None): Scores `doc.ents`.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], list[Floats2d]],
        name: str = "token_ner",
        *,
        scheme: Scheme = "bio",
        threshold: float | None = None,
        learn_rate_factor: float = 1.0,
        scorer: Callable[..., Any] | None = None,
    ) -> None:
        if scheme not in ("bio", "bilou"):
            raise ValueError(f'{name}: scheme must be "bio" or "bilou", not "{scheme}"')
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"{name}: threshold must be from 0 to 1, not {threshold}")
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.cfg: dict[str, Any] = {
            "labels": [],
            "scheme": scheme,
            "threshold": threshold,
            "learn_rate_factor": learn_rate_factor,
        }

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The types of mentions."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> list[str]:
        """RETURNS (list[str]): What `spacy init labels` saves."""
        return list(self.cfg["labels"])

    @property
    def lattice(self) -> Lattice:
        return Lattice(n_types=len(self.labels), bilou=self.cfg["scheme"] == "bilou")

    @property
    def word_labels(self) -> list[str]:
        """RETURNS (list[str]): The names of the model's columns: O, all B, all I, and in BILOU
        all L and all U."""
        prefixes = "BILU" if self.cfg["scheme"] == "bilou" else "BI"
        return ["O", *(f"{prefix}-{type_}" for prefix in prefixes for type_ in self.labels)]

    def add_label(self, label: str) -> int:
        """Add a type of mentions, before the model is initialized.

        RETURNS (int): 1 if it was added, 0 if it was there.
        """
        if not isinstance(label, str) or not label:
            raise ValueError(Errors.E187)
        if label in self.labels:
            return 0
        if self.model.get_ref("output").has_dim("nO"):
            raise ValueError(Errors.E922.format(name=self.name, nO=len(self.word_labels)))
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        return 1

    def predict(self, docs: Iterable[Doc]) -> list[list[Mention]]:
        """RETURNS (list[list[Mention]]): For each document its mentions, in order."""
        docs = list(docs)
        if not any(len(doc) for doc in docs):
            return [[] for _ in docs]
        return self.decode(docs, self.model.predict(docs))

    def decode(self, docs: Sequence[Doc], logits: Sequence[ModelArray]) -> list[list[Mention]]:
        """Decode all documents in one chain, whitespace left out, separators between.

        logits (Sequence[ModelArray]): For each document (n_words, n_labels).
        RETURNS (list[list[Mention]]): For each document its mentions, in order.
        RAISES (FloatingPointError): If a logit isn't finite.
        """
        lattice = self.lattice
        kept = [numpy.flatnonzero(doc.to_array("IS_SPACE") == 0) for doc in docs]
        parts = []
        for scores, words in zip(logits, kept, strict=True):
            own = self.model.ops.to_numpy(scores)[words]
            if not numpy.isfinite(own).all():
                raise FloatingPointError(
                    f"{self.name}: logits are not finite: the weights are broken, as after "
                    "training at too high a learning rate"
                )
            parts += [own, lattice.separator]
        chain_words = log_softmax(numpy.concatenate(parts).astype("float64"))
        # The words' places in their documents; a separator's is never looked at.
        places = numpy.concatenate([numpy.append(words, -1) for words in kept])
        found = decode(lattice, chain_words)
        firsts, lasts = places[found.starts], places[found.ends - 1]
        bounds = numpy.cumsum([len(words) + 1 for words in kept])
        owners = numpy.searchsorted(bounds, found.starts, side="right")
        threshold = self.cfg["threshold"] or 0.0
        mentions: list[list[Mention]] = [[] for _ in docs]
        rows = (owners, firsts, lasts, found.types, found.scores)
        for owner, first, last, type_, score in zip(*(row.tolist() for row in rows), strict=True):
            if score >= threshold:
                mentions[owner].append(Mention(first, last + 1, self.labels[type_], score))
        return mentions

    def set_annotations(self, docs: Iterable[Doc], predictions: list[list[Mention]]) -> None:
        """Write mentions into `doc.ents` and `doc.spans`.

        Mentions that others set stay, and what overlaps them is left out, as is what covers a
        token that `doc.set_ents` blocked.
        """
        for doc, mentions in zip(docs, predictions, strict=True):
            others, blocked = self.earlier_annotations(doc)
            if others or blocked:
                taken = numpy.zeros(len(doc), dtype=bool)
                for span in (*others, *blocked):
                    taken[span.start : span.end] = True
                mentions = [m for m in mentions if not taken[m.start : m.end].any()]
            spans = [Span(doc, m.start, m.end, label=m.label) for m in mentions]
            doc.set_ents(sorted([*others, *spans]), blocked=blocked, default="outside")
            attrs = {"by": GROUP_MARK, "scores": [m.score for m in mentions]}
            doc.spans[self.name] = SpanGroup(doc, name=self.name, spans=spans, attrs=attrs)

    def earlier_annotations(self, doc: Doc) -> tuple[list[Span], list[Span]]:
        """RETURNS (tuple[list[Span], list[Span]]): Mentions that this component didn't set, and
        blocked tokens."""
        if not doc.has_annotation("ENT_IOB"):
            return [], []
        own = {(s.start, s.end, s.label) for s in doc.spans.get(self.name, ())}
        others = [ent for ent in doc.ents if (ent.start, ent.end, ent.label) not in own]
        iob, types = doc.to_array(["ENT_IOB", "ENT_TYPE"]).T
        # spaCy marks a blocked token by B without a type.
        blocked = [doc[i : i + 1] for i in numpy.flatnonzero((iob == 3) & (types == 0)).tolist()]
        return others, blocked

    def get_loss(
        self, examples: Iterable[Example], scores: Sequence[ModelArray]
    ) -> tuple[float, list[ModelArray]]:
        """Cross-entropy of the gold labels, its mean over the words that have one.

        scores (Sequence[ModelArray]): For each document logits (n_words, n_labels).
        RETURNS (tuple[float, list[ModelArray]]): The loss, and its gradients by the logits.
            Words whose gold is missing or doesn't align, and whitespace, have zeros.
        """
        ids = {label: i for i, label in enumerate(self.word_labels)}
        gold = numpy.concatenate([self.gold_ids(eg, ids) for eg in examples])
        logits = numpy.concatenate([self.model.ops.to_numpy(s) for s in scores])
        log_probabilities = log_softmax(logits.astype("float64"))
        rows = numpy.flatnonzero(gold >= 0)
        gradient = numpy.zeros_like(log_probabilities)
        n = max(1, len(rows))
        gradient[rows] = numpy.exp(log_probabilities[rows]) / n
        gradient[rows, gold[rows]] -= 1 / n
        loss = -float(log_probabilities[rows, gold[rows]].sum()) / n
        ends = numpy.cumsum([len(s) for s in scores])[:-1]
        parts: list[Any] = numpy.split(gradient.astype("float32"), ends)
        return loss, [self.model.ops.asarray(part) for part in parts]

    def gold_ids(self, eg: Example, ids: dict[str, int]) -> Array:
        """RETURNS (Array): Each word's column, or -1 where gold is missing or doesn't align.
        RAISES (ValueError): If gold has a type that the component doesn't know."""
        bilou = self.cfg["scheme"] == "bilou"
        spaces = eg.predicted.to_array("IS_SPACE")
        columns = []
        for label, space in zip(eg.get_aligned_ner(), spaces, strict=True):
            if label is None or label == "-" or space:
                columns.append(-1)
                continue
            name = label if bilou or label == "O" else BIO_PREFIXES[label[0]] + label[1:]
            if name not in ids:
                raise ValueError(
                    f"{self.name}: the label {label} is not among {', '.join(self.labels)}: "
                    "initialize the pipeline on data with all types"
                )
            columns.append(ids[name])
        return numpy.array(columns, dtype="int64")

    def finish_update(self, sgd: Optimizer) -> None:
        """Update the weights: the head's by its own learning rate and without weight decay."""
        self.model.get_ref("tok2vec").finish_update(sgd)
        decay, sgd.L2 = sgd.L2, 0.0
        at_own_rate = partial(sgd, lr_scale=self.cfg["learn_rate_factor"])
        self.model.get_ref("output").finish_update(cast(Optimizer, at_own_rate))
        sgd.L2 = decay

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,  # noqa: ARG002
        labels: Sequence[str] | None = None,
    ) -> None:
        """Collect the types and give the model its shape.

        get_examples (Callable): Gives gold examples.
        labels (Sequence[str] | None): The types, if known (`spacy init labels`).
        RAISES (ValueError): If there is no example, or no type.
        """
        sample: list[Doc] = []
        found: set[str] = set()
        for eg in get_examples():
            if len(sample) < 10 and len(eg.predicted):
                sample.append(eg.predicted)
            if labels is None:
                found.update(ent.label_ for ent in eg.reference.ents)
        for label in sorted(found) if labels is None else labels:
            self.add_label(label)
        if not self.labels:
            raise ValueError(Errors.E143.format(name=self.name))
        if not sample:
            raise ValueError(Errors.E923.format(name=self.name))
        self.model.get_ref("output").set_dim("nO", len(self.word_labels))
        self.model.initialize(X=sample)


def log_softmax(logits: Array) -> Array:
    """RETURNS (Array): Log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return cast(Array, shifted - numpy.log(numpy.exp(shifted).sum(axis=-1, keepdims=True)))
