"""The recipe's training loop on Accelerate."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import set_seed

from conll_ner.common.console import InputError
from conll_ner.common.machine import peak_memory_mb
from conll_ner.common.progress import show_progress
from conll_ner.common.training_log import LogRow
from conll_ner.data.splits import find_splits
from conll_ner.data.wordpiece_labels import (
    IGNORED,
    Encoded,
    label_names,
    mention_types,
    read_sentences,
)
from conll_ner.huggingface.checkpoints import load_last_epoch, save_epoch
from conll_ner.huggingface.recipe import (
    Settings,
    encode_all,
    evaluate_epoch,
    load_classifier,
    make_loader,
    make_optimizer,
)

MAX_NORM = 1.0  # for gradient clipping, as in transformers' Trainer


@dataclass(frozen=True)
class Setup:
    """What training and evaluation need, prepared by Accelerate for this process."""

    names: list[str]  # labels, by column of the logits
    tokenizer: Any
    model: Any
    optimizer: Any
    schedule: Any
    loader: Any  # batches of train
    dev_loader: Any
    dev: list[Encoded]


def read_splits(corpus: Path) -> dict[str, list[Any]]:
    """RETURNS (dict[str, list[Sentence]]): The sentences of train and valid.
    RAISES (InputError): If a file is missing or broken, or valid has no mention or a type that
        train lacks."""
    files = find_splits(corpus)
    splits = {name: read_sentences(files[name]) for name in ("train", "valid")}
    types = mention_types(splits["valid"])
    if not types:
        raise InputError(f"{files['valid']} has no mention: there is nothing to score")
    if unknown := types - mention_types(splits["train"]):
        listed = ", ".join(sorted(unknown))
        raise InputError(f"{files['valid']}: types without an example in train: {listed}")
    return splits


def set_up(accelerator: Accelerator, corpus: Path, backbone: Path, settings: Settings) -> Setup:
    """Read the data, load the model, and prepare both for this process.

    RAISES (InputError): If a file is missing or broken.
    """
    splits = read_splits(corpus)
    names = label_names(mention_types(splits["train"]))
    model, tokenizer = load_classifier(backbone, names, settings.seed)
    data = {
        name: encode_all(sentences, tokenizer, names, settings.first_only)
        for name, sentences in splits.items()
    }
    model, optimizer, loader, dev_loader = accelerator.prepare(
        model,
        make_optimizer(model, settings),
        make_loader(data["train"], tokenizer, settings.batch_size, shuffle=True),
        make_loader(data["valid"], tokenizer, settings.batch_size, shuffle=False),
    )
    total = settings.epochs * len(loader)
    schedule = transformers.get_linear_schedule_with_warmup(
        optimizer, round(settings.warmup * total), total
    )
    accelerator.register_for_checkpointing(schedule)
    return Setup(names, tokenizer, model, optimizer, schedule, loader, dev_loader, data["valid"])


def train_epoch(accelerator: Accelerator, setup: Setup, epoch: int, progress: Any) -> float:
    """Train on every batch once.

    RETURNS (float): The mean loss per update.
    """
    setup.model.train()
    setup.loader.set_epoch(epoch)
    losses: list[float] = []
    for batch in setup.loader:
        n_labels = (batch["labels"] != IGNORED).sum()
        summed = setup.model(**batch).loss * n_labels
        # Over all processes.
        total, n_total = accelerator.reduce(torch.stack([summed.detach(), n_labels]), "sum")
        # Accelerate averages the gradients of the processes, which can have different numbers of
        # labels. With this factor every label has the same weight, as in a single process.
        accelerator.backward(summed * accelerator.num_processes / n_total)
        accelerator.clip_grad_norm_(setup.model.parameters(), MAX_NORM)
        setup.optimizer.step()
        setup.schedule.step()
        setup.optimizer.zero_grad()
        losses.append((total / n_total).item())
        progress.update()
    return sum(losses) / len(losses)


def train(
    accelerator: Accelerator,
    corpus: Path,
    backbone: Path,
    output: Path,
    settings: Settings,
    *,
    resume: bool,
) -> dict[str, Any]:
    """Train, and write best/, last/, log.jsonl and, after epoch N, state-N/ to `output`.

    RETURNS (dict[str, Any]): As from `summarize`.
    RAISES (InputError): If a file is missing or broken.
    """
    setup = set_up(accelerator, corpus, backbone, settings)
    set_seed(settings.seed, device_specific=True)  # a dropout mask per process
    rows = load_last_epoch(accelerator, output) if resume else []
    trained = rows[-1].training_seconds if rows else 0.0
    start = time.perf_counter() - (rows[-1].seconds if rows else 0.0)
    n_steps = len(setup.loader)
    progress = show_progress(
        "steps",
        settings.epochs * n_steps,
        initial=len(rows) * n_steps,
        disable=not accelerator.is_main_process,
    )
    for epoch in range(len(rows) + 1, settings.epochs + 1):
        epoch_start = time.perf_counter()
        loss = train_epoch(accelerator, setup, epoch, progress)
        trained += time.perf_counter() - epoch_start
        scores = evaluate_epoch(accelerator, setup.model, setup.dev_loader, setup.dev, setup.names)
        seconds = round(time.perf_counter() - start, 3)
        row = LogRow(
            epoch, epoch * n_steps, seconds, round(trained, 3), loss, scores["word_f1"], scores
        )
        is_best = all(row.f1 > other.f1 for other in rows)
        rows.append(row)
        accelerator.print(
            f"epoch {epoch}: dev F1 {100 * row.f1:.2f} by word, "
            f"{100 * scores['wordpiece_f1']:.2f} by wordpiece"
        )
        save_epoch(accelerator, setup.model, setup.tokenizer, output, rows, is_best=is_best)
    progress.close()
    return summarize(rows)


def summarize(rows: Sequence[LogRow]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The fields of run.json: steps, epochs, seconds, the best step and
    its score, memory."""
    best, last = max(rows, key=lambda row: row.f1), rows[-1]
    return {
        "steps": last.step,
        "epochs": last.epoch,
        "seconds": round(last.training_seconds, 1),
        "seconds_per_epoch": round(last.training_seconds / last.epoch, 1),
        "best_step": best.step,
        "best_dev_f": best.f1,
        "peak_memory_mb": round(peak_memory_mb()),
    }
