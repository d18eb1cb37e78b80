"""Train a pipeline from a spaCy config for whole epochs, with a log of every evaluation."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import setup_gpu

from conll_ner.common.command import WRITES_FOLDER, command
from conll_ner.common.console import msg
from conll_ner.common.device import resolve_device
from conll_ner.common.files import fresh_folder, lock, partial_path
from conll_ner.common.machine import return_freed_memory
from conll_ner.common.options import Device
from conll_ner.common.overwriting import check_outputs
from conll_ner.training.backbone_defaults import resolve_auto
from conll_ner.training.calibrating import calibrate_on_dev
from conll_ner.training.config import (
    check_mentions,
    config_inputs,
    load_checked_config,
    read_overrides,
)
from conll_ner.training.loop import run_training
from conll_ner.training.record import (
    describe_training,
    finish_earlier,
    finish_training,
    forget_changed,
)
from conll_ner.training.state import State, load_state

app = typer.Typer(add_completion=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@command
def main(
    context: typer.Context,
    config_path: Annotated[Path, typer.Argument(help="Config file", exists=True, dir_okay=False)],
    output: Annotated[Path, typer.Argument(help="Folder for the trained pipeline"), WRITES_FOLDER],
    device: Device = "auto",
    resume: Annotated[
        bool | None,
        typer.Option(
            help="Continue the training in OUTPUT.partial, or start over",
            show_default="continue if nothing has changed",
        ),
    ] = None,
) -> None:
    """Train a pipeline. Further options override the config, as in `spacy train`, for example
    --training.max_epochs 1, or training.max_epochs=1. The learning rate, the window,
    case_learn_rate_factor and the batcher's size can be "auto": the default for the backbone's size
    or the device. After training, the confidence scores of model-best are calibrated on dev. Until
    training is complete, files are in OUTPUT.partial. An interrupted training keeps them, and the
    next run continues it after its last evaluation, with the same result as an uninterrupted
    one."""
    with ExitStack() as stack:
        return_freed_memory()
        gpu = resolve_device(device)
        overrides = resolve_auto(config_path, read_overrides(context.args), gpu)
        config = load_checked_config(config_path, overrides)
        check_mentions(config)
        setup_gpu(gpu, silent=True)
        output = output.resolve()
        partial = partial_path(output)
        check_outputs(config_inputs(config), [output, partial])
        stack.enter_context(lock(output))
        run = describe_training(config_path, config, overrides, gpu)
        if finish_earlier(partial, output) and resume:
            return
        state = None if resume is False else load_state(partial, run, strict=bool(resume))
        if state is None:
            fresh_folder(partial)
        else:
            msg.info(f"Continuing {partial} after step {state.step + 1:,}")
        try:
            run |= run_training(config, partial, gpu, state or State(run))
            run["calibration"] = calibrate_on_dev(config, partial / "model-best")
        except KeyboardInterrupt:
            print(f"Interrupted. Run the same command to continue from {partial}", file=sys.stderr)
            sys.exit(130)
        forget_changed(run, config)
        finish_training(run, partial, output)
        msg.good(f"{output}: dev F1 {100 * run['best_dev_f']:.2f} at step {run['best_step']:,}")
