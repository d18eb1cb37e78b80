"""Checkpoints of a training run on Accelerate: save, resume, and finish a run."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from conll_ner.common.console import InputError, msg
from conll_ner.common.device import gpu_number, peak_gpu_memory
from conll_ner.common.files import atomic_write, read_json, replace_folder
from conll_ner.common.machine import describe_hardware, package_versions
from conll_ner.common.training_log import LogRow, format_rows, read_log
from conll_ner.huggingface.loading import as_input_error
from conll_ner.huggingface.recipe import Settings
from conll_ner.training.record import write_record


def save_epoch(
    accelerator: Accelerator,
    model: Any,
    tokenizer: Any,
    output: Path,
    rows: Sequence[LogRow],
    *,
    is_best: bool,
) -> None:
    """Save last/, best/ if this epoch is the best so far, and state-N/ for resuming.

    All writes are atomic. The state is written last, so that a run resumes only from an epoch
    whose checkpoints are complete.
    """
    epoch = len(rows)
    if accelerator.is_main_process:
        with as_input_error(f"{output} can't be written"):
            for name in ("last", "best") if is_best else ("last",):
                with atomic_write(output / name) as temporary:
                    accelerator.unwrap_model(model).save_pretrained(temporary)
                    tokenizer.save_pretrained(temporary)
    unfinished = output / f".state-{epoch}"
    with as_input_error(f"{output} can't be written"):
        accelerator.save_state(str(unfinished))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        lines = format_rows(rows)
        with as_input_error(f"{output} can't be written"):
            (unfinished / "log.jsonl").write_text(lines, encoding="utf-8")
            with atomic_write(output / "log.jsonl") as temporary:
                temporary.write_text(lines, encoding="utf-8")
        unfinished.replace(output / f"state-{epoch}")
        shutil.rmtree(output / f"state-{epoch - 1}", ignore_errors=True)
    accelerator.wait_for_everyone()


def load_last_epoch(accelerator: Accelerator, output: Path) -> list[LogRow]:
    """Restore the state after the last completed epoch.

    RETURNS (list[LogRow]): The log of the completed epochs; empty if there are none.
    RAISES (InputError): If the state can't be read.
    """
    states = sorted(output.glob("state-*"), key=lambda path: int(path.name.split("-")[1]))
    if not states:
        msg.info(f"{output}: no completed epoch; training starts from the beginning")
        return []
    with as_input_error(f"{states[-1]} can't be read; train without --resume"):
        accelerator.load_state(str(states[-1]))
    return read_log(states[-1] / "log.jsonl")


def check_resumable(partial: Path, settings: Settings) -> None:
    """RAISES (InputError): If there is nothing to resume, or the settings differ."""
    path = partial / "settings.json"
    if not path.is_file():
        raise InputError(f"{partial}: no training to resume; train without --resume")
    saved, current = read_json(path, "train without --resume"), asdict(settings)
    changed = [f"{k} was {saved.get(k)}" for k in current if saved.get(k) != current[k]]
    if changed:
        raise InputError(
            f"{partial} was trained with other settings ({', '.join(changed)}); use the same "
            "settings, or train without --resume"
        )


def finish_training(
    accelerator: Accelerator,
    partial: Path,
    output: Path,
    backbone: Path,
    settings: Settings,
    result: dict[str, Any],
) -> None:
    """Write run.json in the format of spacy ner train, delete the states, and rename the folder
    `partial` to `output`."""
    source = backbone / "source.json"
    run = {
        "config": "hf",
        "overrides": asdict(settings),
        "seed": settings.seed,
        "processes": accelerator.num_processes,
        "backbone": read_json(source, "fetch the backbone again") if source.is_file() else {},
        "hardware": describe_hardware(gpu_number(accelerator.device)),
        "versions": package_versions(),
        **result,
        **peak_gpu_memory(gpu_number(accelerator.device)),
    }
    write_record(run, partial)
    for state in [*partial.glob("state-*"), *partial.glob(".state-*")]:
        shutil.rmtree(state)
    replace_folder(partial, output)
    msg.good(f"{output}: dev F1 {100 * run['best_dev_f']:.2f} at step {run['best_step']:,}")
