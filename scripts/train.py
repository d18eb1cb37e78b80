"""Train a pipeline through spaCy's config system, on a plan of whole epochs, with a timed log."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated, Any

import spacy
import typer
from confection import Config
from spacy.cli._util import parse_config_overrides, setup_gpu, show_validation_error
from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.training.loggers import console_logger_v3
from spacy.training.loop import train as train_nlp
from spacy.util import load_config, registry, resolve_dot_names

import token_ner  # noqa: F401  to register the component
from console import InputError, clear_errors, msg
from device import describe_hardware, package_versions, peak_memory_mb, resolve_device
from files import sha256

app = typer.Typer(add_completion=False)
LogStep = Callable[[dict[str, Any] | None], None]
REQUIRED_PATHS = ("train", "dev", "backbone")  # others, as spaCy's `vectors`, may stay null
WARMUP_SHARE = 0.1  # of all steps: warmup_proportion in google-research/bert


@registry.loggers("conll_ner.timed_logger.v1")
def timed_logger(
    log_path: str,
) -> Callable[[Language, IO[str], IO[str]], tuple[LogStep, Callable[[], None]]]:
    """spaCy's console logger, and a JSON line per evaluation with the seconds since the start.

    log_path (str): The JSONL file. Each line has `epoch`, `step`, `seconds` since the start,
        `seconds_per_update` (evaluation not counted), `losses`, `scores`, in spaCy's names.
    """
    console = console_logger_v3(progress_bar="eval")

    def setup(
        nlp: Language, stdout: IO[str] = sys.stdout, stderr: IO[str] = sys.stderr
    ) -> tuple[LogStep, Callable[[], None]]:
        log_console, finalize = console(nlp, stdout, stderr)
        start = last = time.perf_counter()
        steps_timed, seconds_timed = 0, 0.0

        def log_step(info: dict[str, Any] | None) -> None:
            nonlocal last, steps_timed, seconds_timed
            log_console(info)
            now = time.perf_counter()
            if info is None:  # a step without evaluation: its time is the update's alone
                steps_timed += 1
                seconds_timed += now - last
            else:
                row = {
                    "epoch": info["epoch"],
                    "step": info["step"],
                    "seconds": round(now - start, 3),
                    "seconds_per_update": round(seconds_timed / max(steps_timed, 1), 4),
                    "losses": {name: float(loss) for name, loss in info["losses"].items()},
                    "scores": info["other_scores"],
                }
                with Path(log_path).open("a", encoding="utf-8") as log:
                    log.write(json.dumps(row) + "\n")
            last = time.perf_counter()

        return log_step, finalize

    return setup


def count_batches(config: Config) -> int:
    """RETURNS (int): The batches in one epoch, cut as training will cut them (the order of the
    documents, which is shuffled then, can change the number by a few)."""
    resolved = config.interpolate()
    nlp = spacy.blank(resolved["nlp"]["lang"])
    (corpus,) = resolve_dot_names(resolved, [resolved["training"]["train_corpus"]])
    batcher = registry.resolve({"batcher": resolved["training"]["batcher"]})["batcher"]
    return sum(1 for _ in batcher(corpus(nlp)))


def plan(config: Config) -> Config:
    """Set the numbers that follow from the corpus and the epochs: how many steps in all, in the
    warm-up, and between evaluations.

    spaCy ends after max_epochs wherever the last evaluation was; a fixed number of steps with
    an evaluation at the last one keeps the end of the decay from going unmeasured.

    RETURNS (Config): A copy, planned. With `max_epochs = 0` the config's own `max_steps` and
        `eval_frequency` hold.
    """
    config = config.copy()
    training = config["training"]
    if training["max_epochs"] <= 0:
        return config
    per_epoch = count_batches(config)
    evaluations = training["max_epochs"] * max(1, round(per_epoch / training["eval_frequency"]))
    frequency = max(1, round(training["max_epochs"] * per_epoch / evaluations))
    total = frequency * evaluations
    training |= {"max_epochs": 0, "max_steps": total, "eval_frequency": frequency}
    learn_rate = training["optimizer"]["learn_rate"]
    if isinstance(learn_rate, dict) and "total_steps" in learn_rate:
        learn_rate |= {"total_steps": total, "warmup_steps": round(WARMUP_SHARE * total)}
    return config


def restore_logger(folder: Path, logger: dict[str, Any]) -> None:
    """Give a saved pipeline's config the logger of the config file back, so that plain
    `spacy train` can read it, which doesn't know ours."""
    path = folder / "config.cfg"
    config = Config().from_disk(path, interpolate=False)
    config["training"]["logger"] = logger
    config.to_disk(path)


def run_training(config: Config, output: Path, gpu: int) -> dict[str, Any]:
    """Train, and write model-best, model-last and log.jsonl into the folder `output`.

    config (Config): Not interpolated, not planned yet.
    RETURNS (dict[str, Any]): Steps, epochs, seconds, best dev score, memory.
    RAISES (InputError): If the weights are no numbers any more.
    """
    epochs = config["training"]["max_epochs"]
    config = plan(config)
    logger = config["training"]["logger"]
    log_path = output / "log.jsonl"
    config["training"]["logger"] = {
        "@loggers": "conll_ner.timed_logger.v1",
        "log_path": str(log_path),
    }
    start = time.perf_counter()
    nlp = init_nlp(config, use_gpu=gpu)
    try:
        train_nlp(nlp, output, use_gpu=gpu, stdout=sys.stdout, stderr=sys.stderr)
    except FloatingPointError as error:
        raise InputError(f"training broke off: {error}; lower the learning rate") from None
    seconds = time.perf_counter() - start
    for name in ("model-best", "model-last"):
        restore_logger(output / name, logger)
    rows = [json.loads(line) for line in log_path.read_text(encoding="utf-8").splitlines()]
    best = max(rows, key=lambda row: row["scores"]["ents_f"])
    steps = rows[-1]["step"] + 1
    if epochs <= 0:  # the config counts steps, or streams its corpus
        epochs = max(1, rows[-1]["epoch"])
    return {
        "steps": steps,
        "epochs": epochs,
        "seconds": round(seconds, 1),
        "seconds_per_epoch": round(rows[-1]["seconds_per_update"] * steps / epochs, 1),
        "best_step": best["step"],
        "best_dev_f": best["scores"]["ents_f"],
        "peak_memory_mb": round(peak_memory_mb()),
    }


def describe_run(
    config_path: Path, config: Config, overrides: dict[str, Any], gpu: int
) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): What it takes to train the same again."""
    resolved = config.interpolate()
    backbone = Path(resolved["paths"]["backbone"]) / "source.json"
    return {
        "config": config_path.stem,
        "config_sha256": sha256(config_path),
        "overrides": overrides,
        "seed": resolved["training"]["seed"],
        "backbone": json.loads(backbone.read_text(encoding="utf-8")) if backbone.is_file() else {},
        "hardware": describe_hardware(gpu),
        "versions": package_versions(),
    }


def load_checked_config(path: Path, overrides: dict[str, Any]) -> Config:
    """RAISES (InputError): If a file that the config names is not there."""
    with show_validation_error(path):
        config = load_config(path, overrides=overrides, interpolate=False)
    for name, value in config.interpolate()["paths"].items():
        if value is None and name in REQUIRED_PATHS:
            raise InputError(f"{path}: paths.{name} is not set; give --paths.{name} PATH")
        if value is not None and not Path(value).exists():
            raise InputError(f"--paths.{name}: {value} is not there; run the step that makes it")
    return config


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def main(
    context: typer.Context,
    config_path: Annotated[Path, typer.Argument(help="Config file", exists=True, dir_okay=False)],
    output: Annotated[Path, typer.Argument(help="Folder for the trained pipeline")],
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU's number")] = "auto",
) -> None:
    """Train a pipeline. Further options override the config, as in `spacy train`:
    --training.max_epochs 1. A run in progress, or broken off, is in OUTPUT.partial."""
    with clear_errors():
        gpu = resolve_device(device)
        overrides = parse_config_overrides(context.args)
        config = load_checked_config(config_path, overrides)
        setup_gpu(gpu, silent=True)
        partial = output.with_name(f"{output.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        run = describe_run(config_path, config, overrides, gpu)
        run |= run_training(config, partial, gpu)
        (partial / "run.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(output, ignore_errors=True)
        partial.rename(output)
        msg.good(f"{output}: dev F1 {100 * run['best_dev_f']:.2f} at step {run['best_step']:,}")


if __name__ == "__main__":
    app()
