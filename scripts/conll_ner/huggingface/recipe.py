"""The Hugging Face course's recipe: data, model, optimizer and evaluation.

Sentences are padded to the longest in the batch. Every wordpiece, or the first one of every word,
has a label. The optimizer is AdamW with a linear schedule and warm-up. After each epoch, dev is
scored with seqeval on the predictions of all processes
(https://huggingface.co/learn/llm-course/chapter7/2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

from conll_ner.common.console import msg
from conll_ner.common.hf_loading import load_model
from conll_ner.data.columns.conll import Sentence
from conll_ner.data.wordpiece_labels import IGNORED, Encoded, encode, score
from conll_ner.huggingface.loading import as_input_error

NOT_DECAYED = ("bias", "LayerNorm.weight")  # name suffixes; google-research/bert, optimization.py


@dataclass(frozen=True)
class Settings:
    """The settings of a training run. A resumed run must have the same settings.

    batch_size (int): Sentences per step, over all processes.
    learn_rate (float): Peak of the schedule.
    warmup (float): Fraction of all steps.
    first_only (bool): Whether only the first wordpiece of a word has a label.
    """

    epochs: int
    batch_size: int
    learn_rate: float
    warmup: float
    weight_decay: float
    first_only: bool
    seed: int


def encode_all(
    sentences: Sequence[Sentence], tokenizer: Any, names: Sequence[str], first_only: bool
) -> list[Encoded]:
    """RETURNS (list[Encoded]): One per sentence. Warns if sentences are truncated."""
    ids = {name: i for i, name in enumerate(names)}
    encoded = [encode(sentence, tokenizer, ids, first_only=first_only) for sentence in sentences]
    truncated = sum(len(s.words) - sum(e["first"]) for s, e in zip(sentences, encoded, strict=True))
    if truncated:
        msg.warn(f"{truncated:,} words exceed the model's maximum length; they are not scored")
    return encoded


def make_loader(encoded: Sequence[Encoded], tokenizer: Any, batch_size: int, shuffle: bool) -> Any:
    """RETURNS (DataLoader): Batches, padded to their longest sentence; labels with -100."""
    columns = ("input_ids", "attention_mask", "labels")
    rows: Any = [{column: sentence[column] for column in columns} for sentence in encoded]
    collate = transformers.DataCollatorForTokenClassification(tokenizer, label_pad_token_id=IGNORED)
    return DataLoader(rows, batch_size=batch_size, shuffle=shuffle, collate_fn=collate)


def make_optimizer(model: Any, settings: Settings) -> torch.optim.Optimizer:
    decayed: dict[bool, list[Any]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        decayed[not name.endswith(NOT_DECAYED)].append(parameter)
    return torch.optim.AdamW(
        [
            {"params": decayed[True], "weight_decay": settings.weight_decay},
            {"params": decayed[False], "weight_decay": 0.0},
        ],
        lr=settings.learn_rate,
    )


def evaluate_epoch(
    accelerator: Accelerator,
    model: Any,
    loader: Any,
    encoded: Sequence[Encoded],
    names: Sequence[str],
) -> dict[str, float]:
    """Predict on all processes, and score the gathered predictions, every sentence once.

    RETURNS (dict[str, float]): As from `corpus.wordpiece_labels.score`, equal on all processes.
    """
    model.eval()
    rows: list[numpy.ndarray] = []
    for batch in loader:
        with torch.no_grad():
            predicted = model(**batch).logits.argmax(-1)
        # gather_for_metrics needs equal shapes; each process pads to its own longest sentence.
        predicted = accelerator.pad_across_processes(predicted, dim=1, pad_index=IGNORED)
        rows.extend(accelerator.gather_for_metrics(predicted).cpu().numpy())
    return score(rows, encoded, names)


def load_classifier(backbone: Path, names: Sequence[str], seed: int) -> tuple[Any, Any]:
    """RETURNS (tuple[PreTrainedModel, PreTrainedTokenizer]): The backbone with a new head, which
    has the same weights in every process, and its tokenizer.
    RAISES (InputError): If the folder contains no backbone."""
    with as_input_error(f"{backbone} contains no backbone"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(backbone, add_prefix_space=True)
        set_seed(seed)
        model = load_model(
            transformers.AutoModelForTokenClassification,
            backbone,
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
        )
    return model, tokenizer
