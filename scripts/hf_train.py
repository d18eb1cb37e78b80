"""Train a token classifier with the Hugging Face course's recipe, on Accelerate.

Sentences padded to the longest of a batch, a label on every wordpiece or on the first of each
word, AdamW, a linear schedule with warm-up, and after each epoch seqeval on dev, gathered over
all processes (https://huggingface.co/learn/llm-course/chapter7/2).
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import transformers
import typer
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration

from common.console import InputError, exit_on_input_error
from huggingface.checkpoints import check_resumed, finish_training
from huggingface.recipe import Settings
from huggingface.training import train


def main(
    corpus: Annotated[Path, typer.Argument(help="Folder with train.txt and valid.txt")],
    backbone: Annotated[Path, typer.Argument(help="Folder of the backbone")],
    output: Annotated[Path, typer.Argument(help="Folder for best/, last/, log.jsonl, run.json")],
    epochs: Annotated[int, typer.Option(min=1)] = 3,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Sentences per step, over all processes")
    ] = 8,
    learn_rate: Annotated[float, typer.Option(help="Peak of the schedule")] = 2e-5,
    warmup: Annotated[float, typer.Option(min=0, max=1, help="Fraction of all steps")] = 0.0,
    weight_decay: Annotated[float, typer.Option(min=0)] = 0.01,
    labels: Annotated[
        str, typer.Option(help="all: on every wordpiece; first: on the first of each word")
    ] = "all",
    seed: Annotated[int, typer.Option()] = 0,
    resume: Annotated[
        bool, typer.Option(help="Resume after the last finished epoch of OUTPUT.partial")
    ] = False,
) -> None:
    """Fine-tune a token classifier. An unfinished run is in OUTPUT.partial."""
    with exit_on_input_error():
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
            finish_training(accelerator, partial, output, backbone, settings, result)
        accelerator.end_training()


if __name__ == "__main__":
    typer.run(main)
