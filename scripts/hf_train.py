"""The well-known recipe in full, on Accelerate: one process or many, the same script.

Sentences padded to the longest of a batch, a label on every wordpiece or on the first of each
word, AdamW, a linear schedule with warm-up, and after each epoch seqeval on dev, gathered over
all processes (https://huggingface.co/learn/llm-course/chapter7/2).
"""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy
import torch
import transformers
import typer
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed
from torch.utils.data import DataLoader
from tqdm import tqdm

from conll import Sentence
from console import InputError, clear_errors, msg
from device import describe_hardware, package_versions, peak_memory_mb
from files import written_aside
from hf_data import (
    IGNORED,
    Encoded,
    encode,
    label_names,
    mention_types,
    read_sentences,
    said_plainly,
    score,
)

MAX_NORM = 1.0  # of gradients, as in transformers' Trainer
NOT_DECAYED = ("bias", "LayerNorm.weight")  # names' ends; google-research/bert, optimization.py
BEST = "word_f1"  # what the best epoch has most of


@dataclass(frozen=True)
class Settings:
    """What a training is, beside its data. A resumed one must be the same.

    batch_size (int): Sentences a step, of all processes together.
    first_only (bool): Whether a word's first wordpiece alone has its label.
    warmup (float): Share of all steps.
    """

    epochs: int
    batch_size: int
    learn_rate: float
    warmup: float
    weight_decay: float
    first_only: bool
    seed: int


# --- Data ---


def encode_all(
    sentences: Sequence[Sentence], tokenizer: Any, names: Sequence[str], first_only: bool
) -> list[Encoded]:
    """RETURNS (list[Encoded]): As many, in order; says how many words the model can't read."""
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


# --- Training ---


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


def evaluate(
    accelerator: Accelerator,
    model: Any,
    loader: Any,
    encoded: Sequence[Encoded],
    names: Sequence[str],
) -> dict[str, float]:
    """Predict with all processes and score what they gather, in order and each sentence once.

    RETURNS (dict[str, float]): As hf_data.score; the same on all processes.
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


def train(
    accelerator: Accelerator,
    corpus: Path,
    backbone: Path,
    output: Path,
    settings: Settings,
    *,
    resume: bool,
) -> dict[str, Any]:
    """Train, and write best/, last/, log.jsonl into `output`, and state-N/ after epoch N.

    RETURNS (dict[str, Any]): Steps, epochs, seconds, the best epoch and its score.
    RAISES (InputError): If a file is missing or broken.
    """
    splits = {name: read_sentences(corpus / f"{name}.txt") for name in ("train", "valid")}
    names = label_names(mention_types(splits["train"]))
    unknown = mention_types(splits["valid"]) - mention_types(splits["train"])
    if unknown:
        raise InputError(f"{corpus / 'valid.txt'}: types without an example in train: {unknown}")
    with said_plainly(f"{backbone} holds no backbone"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(backbone, add_prefix_space=True)
        set_seed(settings.seed)  # for the head, the same on all processes
        model = transformers.AutoModelForTokenClassification.from_pretrained(
            backbone,
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
        )
    data = {
        name: encode_all(sentences, tokenizer, names, settings.first_only)
        for name, sentences in splits.items()
    }
    optimizer = make_optimizer(model, settings)
    model, optimizer, loader, dev_loader = accelerator.prepare(
        model,
        optimizer,
        make_loader(data["train"], tokenizer, settings.batch_size, shuffle=True),
        make_loader(data["valid"], tokenizer, settings.batch_size, shuffle=False),
    )
    total = settings.epochs * len(loader)
    schedule = transformers.get_linear_schedule_with_warmup(
        optimizer, round(settings.warmup * total), total
    )
    accelerator.register_for_checkpointing(schedule)
    # Each process drops out other units.
    set_seed(settings.seed, device_specific=True)
    rows = load_state(accelerator, output) if resume else []

    progress = tqdm(
        total=total,
        initial=len(rows) * len(loader),
        unit="step",
        disable=None if accelerator.is_main_process else True,  # None: on a terminal only
    )
    for epoch in range(len(rows) + 1, settings.epochs + 1):
        model.train()
        loader.set_epoch(epoch)
        start = time.perf_counter()
        losses = []
        for batch in loader:
            n_labels = (batch["labels"] != IGNORED).sum()
            own = model(**batch).loss * n_labels
            summed, n_all = accelerator.reduce(torch.stack([own.detach(), n_labels]), "sum")
            # Processes' gradients are averaged: so that each label of the whole batch counts
            # alike, as on one process, and not each process.
            accelerator.backward(own * accelerator.num_processes / n_all)
            accelerator.clip_grad_norm_(model.parameters(), MAX_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append((summed / n_all).item())
            progress.update()
        seconds = time.perf_counter() - start
        scores = evaluate(accelerator, model, dev_loader, data["valid"], names)
        row = {
            "epoch": epoch,
            "step": epoch * len(loader),
            "training_seconds": round(seconds, 3),
            "loss": sum(losses) / len(losses),
            **scores,
        }
        is_best = all(row[BEST] > other[BEST] for other in rows)
        rows.append(row)
        accelerator.print(
            f"epoch {epoch}: dev F1 {100 * row[BEST]:.2f} by word, "
            f"{100 * row['wordpiece_f1']:.2f} by wordpiece"
        )
        save(accelerator, model, tokenizer, output, rows, is_best=is_best)
    progress.close()
    best = max(rows, key=lambda row: row[BEST])
    return {
        "steps": total,
        "epochs": settings.epochs,
        "seconds": round(sum(row["training_seconds"] for row in rows), 1),
        "seconds_per_epoch": round(
            sum(row["training_seconds"] for row in rows) / settings.epochs, 1
        ),
        "best_step": best["step"],
        "best_dev_f": best[BEST],
        "peak_memory_mb": round(peak_memory_mb()),
    }


# --- Checkpoints ---


def save(
    accelerator: Accelerator,
    model: Any,
    tokenizer: Any,
    output: Path,
    rows: Sequence[dict[str, Any]],
    *,
    is_best: bool,
) -> None:
    """Write last/, best/ if it is, and the state to go on from; each whole or not at all, and
    the state last: what it tells of is there."""
    epoch = len(rows)
    if accelerator.is_main_process:
        with said_plainly(f"{output} can't be written"):
            for name in ("last", "best") if is_best else ("last",):
                with written_aside(output / name) as aside:
                    accelerator.unwrap_model(model).save_pretrained(aside)
                    tokenizer.save_pretrained(aside)
    unfinished = output / f".state-{epoch}"
    with said_plainly(f"{output} can't be written"):
        accelerator.save_state(str(unfinished))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        with said_plainly(f"{output} can't be written"):
            (unfinished / "log.jsonl").write_text(lines, encoding="utf-8")
            with written_aside(output / "log.jsonl") as aside:
                aside.write_text(lines, encoding="utf-8")
        unfinished.replace(output / f"state-{epoch}")
        shutil.rmtree(output / f"state-{epoch - 1}", ignore_errors=True)
    accelerator.wait_for_everyone()


def load_state(accelerator: Accelerator, output: Path) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): The log of the epochs that are done; none, if none is."""
    states = sorted(output.glob("state-*"), key=lambda path: int(path.name.split("-")[1]))
    if not states:
        msg.info(f"{output}: no epoch was finished; training begins anew")
        return []
    with said_plainly(f"{states[-1]} can't be read; train without --resume"):
        accelerator.load_state(str(states[-1]))
        text = (states[-1] / "log.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def check_resumed(partial: Path, settings: Settings) -> None:
    """RAISES (InputError): If there is nothing to resume, or it is another training."""
    path = partial / "settings.json"
    if not path.is_file():
        raise InputError(f"{partial}: no training to resume; train without --resume")
    was, now = json.loads(path.read_text(encoding="utf-8")), asdict(settings)
    changed = [f"{key} was {was.get(key)}" for key in now if was.get(key) != now[key]]
    if changed:
        raise InputError(
            f"{partial} is another training ({', '.join(changed)}): resume it with the same "
            "settings, or train without --resume"
        )


def main(
    corpus: Annotated[Path, typer.Argument(help="Folder with train.txt and valid.txt")],
    backbone: Annotated[Path, typer.Argument(help="Folder of the backbone")],
    output: Annotated[Path, typer.Argument(help="Folder for best/, last/, log.jsonl, run.json")],
    epochs: Annotated[int, typer.Option(min=1)] = 3,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Sentences a step, of all processes together")
    ] = 8,
    learn_rate: Annotated[float, typer.Option(help="At the top of the schedule")] = 2e-5,
    warmup: Annotated[float, typer.Option(min=0, max=1, help="Share of all steps")] = 0.0,
    weight_decay: Annotated[float, typer.Option(min=0)] = 0.01,
    labels: Annotated[
        str, typer.Option(help="all: on every wordpiece; first: on the first of each word")
    ] = "all",
    seed: Annotated[int, typer.Option()] = 0,
    resume: Annotated[
        bool, typer.Option(help="Go on after the last whole epoch of OUTPUT.partial")
    ] = False,
) -> None:
    """Fine-tune a token classifier. A run in progress, or broken off, is in OUTPUT.partial."""
    with clear_errors():
        if labels not in ("all", "first"):
            raise InputError(f"--labels {labels} is not all or first")
        for path in (corpus / "train.txt", corpus / "valid.txt", backbone / "config.json"):
            if not path.is_file():
                raise InputError(f"{path}: no such file; run fetch first")
        settings = Settings(
            epochs, batch_size, learn_rate, warmup, weight_decay, labels == "first", seed
        )
        partial = output.with_name(f"{output.name}.partial")
        if resume:
            check_resumed(partial, settings)
        # Batches are cut for one process, then shared out: the same for any number of them.
        accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # unsaid, processes wouldn't know each other
            dataloader_config=DataLoaderConfiguration(
                split_batches=True, use_seedable_sampler=True
            ),
        )
        if batch_size % accelerator.num_processes:
            raise InputError(
                f"--batch-size {batch_size} can't be shared by {accelerator.num_processes} "
                "processes; give a multiple"
            )
        if accelerator.is_main_process and not resume:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            text = json.dumps(asdict(settings), indent=2) + "\n"
            (partial / "settings.json").write_text(text, encoding="utf-8")
        accelerator.wait_for_everyone()
        transformers.utils.logging.set_verbosity_error()  # the head is new: that is the task
        result = train(accelerator, corpus, backbone, partial, settings, resume=resume)
        if accelerator.is_main_process:
            finish(accelerator, partial, output, backbone, settings, result)
        accelerator.end_training()


def finish(
    accelerator: Accelerator,
    partial: Path,
    output: Path,
    backbone: Path,
    settings: Settings,
    result: dict[str, Any],
) -> None:
    """Write run.json, as scripts/train.py does, and give the folder its name."""
    source = backbone / "source.json"
    run = {
        "config": "hf",
        "overrides": asdict(settings),
        "seed": settings.seed,
        "processes": accelerator.num_processes,
        "backbone": json.loads(source.read_text(encoding="utf-8")) if source.is_file() else {},
        "hardware": describe_hardware(0 if accelerator.device.type == "cuda" else -1),
        "versions": package_versions(),
        **result,
    }
    (partial / "run.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    for state in [*partial.glob("state-*"), *partial.glob(".state-*")]:
        shutil.rmtree(state)
    shutil.rmtree(output, ignore_errors=True)
    partial.rename(output)
    msg.good(f"{output}: dev F1 {100 * run['best_dev_f']:.2f} at step {run['best_step']:,}")


if __name__ == "__main__":
    typer.run(main)
