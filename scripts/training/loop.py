"""Run spaCy's training loop for whole epochs, and write the training log."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import spacy
from confection import Config
from spacy.cli._util import show_validation_error
from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.training.loggers import console_logger_v3
from spacy.training.loop import train as train_nlp
from spacy.util import dot_to_object, load_config, registry, resolve_dot_names

import token_ner  # noqa: F401  to register the component
from common.console import InputError
from common.device import peak_gpu_memory
from common.machine import peak_memory_mb
from training.log import LogRow, append_row, read_log

LogStep = Callable[[dict[str, Any] | None], None]
WARMUP_FRACTION = 0.1  # of all steps; warmup_proportion in google-research/bert
SHUFFLED_CORPUS = "conll_ner.shuffled_corpus.v1"
REQUIRED_PATHS = ("train", "dev", "backbone")  # others, such as `vectors`, may be null


@registry.loggers("conll_ner.timed_logger.v1")
def timed_logger(
    log_path: str,
) -> Callable[[Language, IO[str], IO[str]], tuple[LogStep, Callable[[], None]]]:
    """spaCy's console logger. It also appends a row to the training log after every evaluation.

    log_path (str): The JSONL file, in the format of `training.log`.
    """
    console = console_logger_v3(progress_bar="eval")

    def setup(
        nlp: Language, stdout: IO[str] = sys.stdout, stderr: IO[str] = sys.stderr
    ) -> tuple[LogStep, Callable[[], None]]:
        log_console, finalize = console(nlp, stdout, stderr)
        start = last = time.perf_counter()
        steps_timed, seconds_timed, steps_logged = 0, 0.0, 0

        def log_step(info: dict[str, Any] | None) -> None:
            nonlocal last, steps_timed, seconds_timed, steps_logged
            log_console(info)
            now = time.perf_counter()
            if info is None:  # a step without evaluation: only the update takes time
                steps_timed += 1
                seconds_timed += now - last
            else:
                steps = info["step"] + 1
                seconds_per_update = seconds_timed / max(steps_timed, 1)
                row = LogRow(
                    epoch=info["epoch"],
                    step=steps,
                    seconds=round(now - start, 3),
                    training_seconds=round(seconds_per_update * steps, 3),
                    loss=sum_losses(info["losses"]) / (steps - steps_logged),
                    f1=info["other_scores"]["ents_f"],
                    scores=info["other_scores"],
                )
                append_row(Path(log_path), row)
                steps_logged = steps
            last = time.perf_counter()

        return log_step, finalize

    return setup


def sum_losses(losses: dict[str, Any]) -> float:
    """RETURNS (float): The total loss of all components. The transformer is skipped: it reports its
    listeners' losses again."""
    return sum(float(loss) for name, loss in losses.items() if name != "transformer")


def count_batches(config: Config) -> int:
    """RETURNS (int): The number of batches per epoch. It is approximate: training shuffles the
    documents, which can change it by a few."""
    resolved = config.interpolate()
    nlp = spacy.blank(resolved["nlp"]["lang"])
    (corpus,) = resolve_dot_names(resolved, [resolved["training"]["train_corpus"]])
    batcher = registry.resolve({"batcher": resolved["training"]["batcher"]})["batcher"]
    return sum(1 for _ in batcher(corpus(nlp)))


def plan_steps(config: Config) -> Config:
    """Replace `max_epochs` by a number of steps, and set the warm-up and the evaluation frequency.

    With `max_epochs`, spaCy may stop long after the last evaluation. With a fixed number of steps,
    the last step is evaluated, when the learning rate has decayed to 0.

    RETURNS (Config): A changed copy. If `max_epochs` is 0, `max_steps` and `eval_frequency` are
        used as they are.
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
        learn_rate |= {"total_steps": total, "warmup_steps": round(WARMUP_FRACTION * total)}
    return config


def restore_settings(folder: Path, training: dict[str, Any]) -> None:
    """Restore the logger and the number of epochs in a saved pipeline's config. Plain `spacy train`
    can't read the config otherwise: `timed_logger` is registered by this module only."""
    path = folder / "config.cfg"
    config = Config().from_disk(path, interpolate=False)
    config["training"] |= {name: training[name] for name in ("logger", "max_epochs")}
    config.to_disk(path)


def read_corpus_every_epoch(nlp: Language) -> None:
    """Make spaCy's loop read a shuffled corpus again in every epoch, with new draws of its
    augmenter. The number of steps ends the training. Not set before `init_nlp`, which would then
    look for labels in 100 examples only."""
    resolved = nlp.config.interpolate()
    corpus = dot_to_object(resolved, resolved["training"]["train_corpus"])
    if corpus.get("@readers") == SHUFFLED_CORPUS:
        nlp.config["training"]["max_epochs"] = -1


def run_training(config: Config, output: Path, gpu: int) -> dict[str, Any]:
    """Train, and write model-best, model-last and log.jsonl to the folder `output`.

    config (Config): Not interpolated, before `plan_steps`.
    RETURNS (dict[str, Any]): Steps, epochs, seconds, best dev score, memory.
    RAISES (InputError): If the weights are not finite.
    """
    epochs = config["training"]["max_epochs"]
    config = plan_steps(config)
    original = dict(config["training"])
    log_path = output / "log.jsonl"
    config["training"]["logger"] = {
        "@loggers": "conll_ner.timed_logger.v1",
        "log_path": str(log_path),
    }
    start = time.perf_counter()
    nlp = init_nlp(config, use_gpu=gpu)
    if config["training"]["max_epochs"] == 0:
        read_corpus_every_epoch(nlp)
    try:
        train_nlp(nlp, output, use_gpu=gpu, stdout=sys.stdout, stderr=sys.stderr)
    except FloatingPointError as error:
        raise InputError(f"training stopped: {error}; lower the learning rate") from None
    seconds = time.perf_counter() - start
    for name in ("model-best", "model-last"):
        restore_settings(output / name, original)
    rows = read_log(log_path)
    best = max(rows, key=lambda row: row.f1)
    if epochs <= 0:  # the config sets steps instead, or streams its corpus
        epochs = max(1, rows[-1].epoch)
    return {
        "steps": rows[-1].step,
        "epochs": epochs,
        "seconds": round(seconds, 1),
        "seconds_per_epoch": round(rows[-1].training_seconds / epochs, 1),
        "best_step": best.step,
        "best_dev_f": best.f1,
        "peak_memory_mb": round(peak_memory_mb()),
        **peak_gpu_memory(gpu),
    }


def load_checked_config(path: Path, overrides: dict[str, Any]) -> Config:
    """Load a config, not interpolated.

    RAISES (InputError): If a path in it is not set or doesn't exist.
    """
    with show_validation_error(path):
        config = load_config(path, overrides=overrides, interpolate=False)
    for name, value in config.interpolate()["paths"].items():
        if value is None and name in REQUIRED_PATHS:
            raise InputError(f"{path}: paths.{name} is not set; give --paths.{name} PATH")
        if value is not None and not Path(value).exists():
            raise InputError(f"--paths.{name}: {value} doesn't exist; run the step that creates it")
    return config
