"""The Hugging Face course's recipe: data, model, optimizer and evaluation.

Sentences padded to the longest of a batch, a label on every wordpiece or on the first of each
word, AdamW, a linear schedule with warm-up, and after each epoch seqeval on dev, gathered over
all processes (https://huggingface.co/learn/llm-course/chapter7/2).
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

from common.console import msg
from corpus.conll import Sentence
from corpus.wordpiece_labels import (
    IGNORED,
    Encoded,
    encode,
    score,
)
from huggingface.loading import as_input_error

NOT_DECAYED = ("bias", "LayerNorm.weight")  # names' ends; google-research/bert, optimization.py


@dataclass(frozen=True)
class Settings:
    """The settings of a training run. They must be the same when it is resumed.

    batch_size (int): Sentences per step, over all processes.
    first_only (bool): Whether only the first wordpiece of a word is labelled.
    warmup (float): Fraction of all steps.
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
    """RETURNS (list[Encoded]): One per sentence. Warns about words beyond the model's maximum."""
    ids = {name: i for i, name in enumerate(names)}
    encoded = [encode(sentence, tokenizer, ids, first_only=first_only) for sentence in sentences]
    cut = sum(len(s.words) - sum(e["first"]) for s, e in zip(sentences, encoded, strict=True))
    if cut:
        msg.warn(f"{cut:,} words are beyond the model's maximum and not read; scores lack them")
    return encoded


def make_loader(encoded: Sequence[Encoded], tokenizer: Any, batch_size: int, shuffle: bool) -> Any:
    """RETURNS (DataLoader): Batches padded to their longest sentence, labels with -100."""
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
    """Predict with all processes and score the gathered labels, every sentence once.

    RETURNS (dict[str, float]): As `corpus.wordpiece_labels.score`; the same on all processes.
    """
    model.eval()
    rows: list[numpy.ndarray] = []
    for batch in loader:
        with torch.no_grad():
            predicted = model(**batch).logits.argmax(-1)
        # Processes pad to their own longest sentence.
        predicted = accelerator.pad_across_processes(predicted, dim=1, pad_index=IGNORED)
        rows.extend(accelerator.gather_for_metrics(predicted).cpu().numpy())
    return score(rows, encoded, names)


def load_classifier(backbone: Path, names: Sequence[str], seed: int) -> tuple[Any, Any]:
    """RETURNS (tuple[PreTrainedModel, PreTrainedTokenizer]): The backbone with a new head, the
    same in every process, and its tokenizer.
    RAISES (InputError): If the folder contains no backbone."""
    with as_input_error(f"{backbone} contains no backbone"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(backbone, add_prefix_space=True)
        set_seed(seed)
        model = transformers.AutoModelForTokenClassification.from_pretrained(
            backbone,
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
        )
    return model, tokenizer
