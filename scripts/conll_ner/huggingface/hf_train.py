"""Train a token classifier with the Hugging Face course's recipe, on Accelerate.

The recipe is in huggingface/recipe.py.
"""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import transformers
import typer
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration

from conll_ner.common.command import WRITES_FOLDER, command
from conll_ner.common.console import InputError
from conll_ner.common.files import fresh_folder, lock, partial_path, write_json
from conll_ner.common.options import Seed
from conll_ner.data.splits import find_splits
from conll_ner.huggingface.checkpoints import check_resumable, finish_training
from conll_ner.huggingface.recipe import Settings
from conll_ner.huggingface.training import train
from conll_ner.training.backbone_defaults import parse_learn_rate
from conll_ner.training.record import finish_earlier


def make_accelerator(batch_size: int, device: str) -> Accelerator:
    """RETURNS (Accelerator): For this process. Batches are the same for any number of processes.
    RAISES (InputError): If the device doesn't exist, or the processes can't have equal shares of a
        batch."""
    if device not in ("auto", "cpu"):
        count = torch.accelerator.device_count()
        if not device.isdecimal() or int(device) >= count:
            raise InputError(
                f"--device {device} is not auto, cpu or the number of one of {count} GPUs"
            )
        torch.accelerator.set_device_index(int(device))
    accelerator = Accelerator(
        # Required without a GPU: otherwise Accelerate doesn't connect the processes.
        cpu=device == "cpu" or not torch.accelerator.is_available(),
        # Every batch is split over the processes.
        dataloader_config=DataLoaderConfiguration(split_batches=True, use_seedable_sampler=True),
    )
    if batch_size % accelerator.num_processes:
        raise InputError(
            f"--batch-size {batch_size} is not a multiple of the number of processes, "
            f"{accelerator.num_processes}; give a multiple"
        )
    if accelerator.num_processes > 1 and device not in ("auto", "cpu"):
        raise InputError(
            f"--device {device} is one GPU for {accelerator.num_processes} processes; use auto"
        )
    return accelerator


@command
def main(
    corpus: Annotated[
        Path, typer.Argument(help="Folder with train and dev: .spacy or column files")
    ],
    backbone: Annotated[Path, typer.Argument(help="Folder of the backbone")],
    output: Annotated[
        Path, typer.Argument(help="Folder for best/, last/, log.jsonl, run.json"), WRITES_FOLDER
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs")] = 3,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Sentences per step, over all processes")
    ] = 8,
    learn_rate: Annotated[
        str, typer.Option(help="Peak learning rate; auto: by the backbone's size")
    ] = "2e-5",
    warmup: Annotated[
        float, typer.Option(min=0, max=1, help="Warm-up, as a fraction of all steps")
    ] = 0.0,
    weight_decay: Annotated[float, typer.Option(min=0, help="Weight decay of AdamW")] = 0.01,
    labels: Annotated[
        str, typer.Option(help="all: label every wordpiece; first: the first of each word")
    ] = "all",
    seed: Seed = 0,
    device: Annotated[
        str, typer.Option(help="auto (all GPUs that the launcher uses), cpu, or a GPU number")
    ] = "auto",
    resume: Annotated[
        bool, typer.Option(help="Resume after the last completed epoch in OUTPUT.partial")
    ] = False,
) -> None:
    """Fine-tune a token classifier. Until training is complete, files are in OUTPUT.partial."""
    with ExitStack() as stack:
        if labels not in ("all", "first"):
            raise InputError(f"--labels must be all or first, not {labels}")
        for split in sorted({"train", "valid"} - find_splits(corpus).keys()):
            raise InputError(f"{corpus}: no file for {split}; run convert first")
        if not (backbone / "config.json").is_file():
            raise InputError(f"{backbone / 'config.json'}: no such file; run fetch first")
        rate = parse_learn_rate(learn_rate, backbone)
        settings = Settings(epochs, batch_size, rate, warmup, weight_decay, labels == "first", seed)
        output = output.resolve()
        partial = partial_path(output)
        if resume:
            check_resumable(partial, settings)
        accelerator = make_accelerator(batch_size, device)
        if accelerator.is_main_process:
            stack.enter_context(lock(output))
        if accelerator.is_main_process and not resume:
            finish_earlier(partial, output)
            fresh_folder(partial)
            write_json(partial / "settings.json", asdict(settings))
        accelerator.wait_for_everyone()
        transformers.utils.logging.set_verbosity_error()  # no warning about the new head
        result = train(accelerator, corpus, backbone, partial, settings, resume=resume)
        if accelerator.is_main_process:
            finish_training(accelerator, partial, output, backbone, settings, result)
        accelerator.end_training()
