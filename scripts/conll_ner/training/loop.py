"""Train a pipeline with spaCy's training loop for whole epochs, so that it can be resumed."""

import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from confection import Config
from spacy.cli._util import show_validation_error
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training.initialize import init_nlp
from spacy.training.loop import (
    create_before_to_disk_callback,
    create_evaluation_callback,
    create_train_batches,
    train_while_improving,
    update_meta,
)
from spacy.util import load_config, registry, resolve_dot_names
from thinc.api import fix_random_seed

import token_ner  # noqa: F401  to register the component
from conll_ner.common.console import InputError
from conll_ner.common.device import peak_gpu_memory
from conll_ner.common.languages import blank_pipeline
from conll_ner.common.machine import peak_memory_mb
from conll_ner.common.training_log import TimedLog, cut_log, read_log
from conll_ner.training.planning import is_read_again, plan_steps
from conll_ner.training.state import Evaluation, State, restore_state, save_state

REQUIRED_PATHS = ("train", "dev", "backbone")  # others, such as `vectors`, may be null
LOG = "log.jsonl"


class Replay:
    """The arguments of spaCy's loop that replay an interrupted training up to its state: the same
    batches are read, but nothing is updated, and evaluations return what they returned. Then the
    state is restored. Without a state, the loop trains from the beginning.

    training (dict[str, Any]): The resolved section `training` of the config.
    evaluate (Callable): Evaluates the pipeline on dev.
    """

    def __init__(
        self,
        nlp: Language,
        training: dict[str, Any],
        evaluate: Callable[[], Evaluation],
        state: State | None,
    ) -> None:
        self.training = training
        self.evaluate_now = evaluate
        self.state = state
        self.step = -1 if state is None else state.step  # the last one to replay
        self.evaluations: list[Evaluation] = []
        # spaCy reads these lists in every step.
        self.frozen = list(training["frozen_components"] if state is None else nlp.pipe_names)
        self.annotating = list(training["annotating_components"] if state is None else ())

    def before_update(self, nlp: Language, progress: dict[str, Any]) -> None:
        """Restore the state before the first step that isn't replayed."""
        if progress["step"] <= self.step:
            return
        if self.state is not None:
            restore_state(self.state, nlp, self.training["optimizer"])
            self.frozen[:] = self.training["frozen_components"]
            self.annotating[:] = self.training["annotating_components"]
            self.state = None
        if self.training["before_update"] is not None:
            self.training["before_update"](nlp, progress)

    def evaluate(self) -> Evaluation:
        number = len(self.evaluations)
        found = self.state.evaluations[number] if self.state is not None else self.evaluate_now()
        self.evaluations.append(found)
        return found


def train_pipeline(nlp: Language, output: Path, run: dict[str, Any], state: State | None) -> None:
    """Train as `spacy.training.loop.train`, and also write the training log and, after every
    evaluation, the state.

    nlp (Language): Initialized, with the planned config.
    output (Path): For model-best, model-last, the log and the state.
    run (dict[str, Any]): The record of the training, saved with the state.
    state (State | None): Of an interrupted training that is resumed.
    """
    config = nlp.config.interpolate()
    if config["training"]["seed"] is not None:
        fix_random_seed(config["training"]["seed"])
    training = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    names = [training["train_corpus"], training["dev_corpus"]]
    train_corpus, dev_corpus = resolve_dot_names(config, names)
    epochs = -1 if is_read_again(config) else training["max_epochs"]
    batches = isolate_random(create_train_batches(nlp, train_corpus, training["batcher"], epochs))
    evaluate = create_evaluation_callback(nlp, dev_corpus, training["score_weights"])
    replay = Replay(nlp, training, evaluate, state)
    log = TimedLog(output / LOG)
    with nlp.select_pipes(disable=training["frozen_components"]):
        log_step, finalize = training["logger"](nlp, sys.stdout, sys.stderr)
    is_saved = False
    try:
        for info, is_best in iterate_steps(nlp, training, batches, replay):
            is_saved = is_best is not None
            if is_saved:
                with nlp.select_pipes(disable=training["frozen_components"]):
                    update_meta(training, nlp, info)
                save_pipeline(nlp, output, training, is_best=bool(is_best))
            log_step(info if is_saved else None)
            log.log_step(info if is_saved else None)
            if is_saved:
                step, scores = info["step"], replay.evaluations
                save_state(output, nlp, training["optimizer"], run, step, scores)
                log.leave_out_time()
    finally:
        finalize()
    if not is_saved and replay.state is None:  # the last step of the config isn't evaluated
        save_pipeline(nlp, output, training, is_best=False)


def iterate_steps(
    nlp: Language, training: dict[str, Any], batches: Any, replay: Replay
) -> Iterator[tuple[dict[str, Any], bool | None]]:
    """YIELDS (tuple[dict[str, Any], bool | None]): For each step that isn't replayed, spaCy's
    information on it, and whether it is the best one; None if it wasn't evaluated."""
    steps = train_while_improving(
        nlp,
        training["optimizer"],
        batches,
        replay.evaluate,
        dropout=training["dropout"],
        accumulate_gradient=training["accumulate_gradient"],
        patience=training["patience"],
        max_steps=training["max_steps"],
        eval_frequency=training["eval_frequency"],
        exclude=replay.frozen,
        annotating_components=replay.annotating,
        before_update=replay.before_update,
    )
    for _, info, is_best in steps:
        if info["step"] > replay.step:
            yield info, is_best


def isolate_random(batches: Iterator[Any]) -> Iterator[Any]:
    """Draw the order of the documents from a random state of its own. spaCy's `ner` draws from
    Python's in updates, and a replay has no updates."""
    own = random.getstate()
    while True:
        others = random.getstate()
        random.setstate(own)
        batch = next(batches, None)
        own = random.getstate()
        random.setstate(others)
        if batch is None:
            return
        yield batch


def save_pipeline(nlp: Language, output: Path, training: dict[str, Any], *, is_best: bool) -> None:
    """Save model-last and, if it is the best so far, copy it to model-best."""
    last, best, new = (output / name for name in ("model-last", "model-best", "model-best.new"))
    prepare = create_before_to_disk_callback(training["before_to_disk"])
    with nlp.use_params(training["optimizer"].averages):
        prepare(nlp).to_disk(last)
    if is_best:
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(last, new)
        shutil.rmtree(best, ignore_errors=True)
        new.rename(best)


def run_training(
    config: Config,
    output: Path,
    gpu: int,
    run: dict[str, Any] | None = None,
    state: State | None = None,
) -> dict[str, Any]:
    """Train, and write model-best, model-last and log.jsonl to the folder `output`.

    config (Config): Not interpolated, before `plan_steps`.
    run (dict[str, Any] | None): The record of the training, saved with its state.
    state (State | None): Of an interrupted training in the same folder, which is resumed.
    RETURNS (dict[str, Any]): Steps, epochs, seconds, best dev score, memory, and the step after
        which the training was resumed.
    RAISES (InputError): If the weights are not finite.
    """
    epochs = config["training"]["max_epochs"]
    config = plan_steps(config)
    log_path = output / LOG
    start = time.perf_counter()
    if state is not None:
        cut_log(log_path, state.step + 1)
        start -= read_log(log_path)[-1].seconds
    nlp = init_nlp(config, use_gpu=gpu)
    try:
        train_pipeline(nlp, output, run or {}, state)
    except FloatingPointError as error:
        raise InputError(f"training stopped: {error}; lower the learning rate") from None
    seconds = time.perf_counter() - start
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
        "resumed_after_step": None if state is None else state.step + 1,
        "peak_memory_mb": round(peak_memory_mb()),
        **peak_gpu_memory(gpu),
    }


def load_checked_config(path: Path, overrides: dict[str, Any]) -> Config:
    """Load a config, not interpolated.

    RAISES (InputError): If a path in it is not set or doesn't exist, or the language's tokenizer
        or the logger needs a package that isn't installed.
    """
    with show_validation_error(path):
        config = load_config(path, overrides=overrides, interpolate=False)
    for name, value in config.interpolate()["paths"].items():
        if value is None and name in REQUIRED_PATHS:
            raise InputError(f"{path}: paths.{name} is not set; give --paths.{name} PATH")
        if value is not None and not Path(value).exists():
            raise InputError(f"--paths.{name}: {value} doesn't exist; run the step that creates it")
    blank_pipeline(config.interpolate()["nlp"]["lang"])
    if "training.logger.@loggers" in overrides:
        keep_given_settings(config["training"], overrides)
    check_logger(path, config)
    return config


def keep_given_settings(training: dict[str, Any], overrides: dict[str, Any]) -> None:
    """Drop a logger's settings that aren't overrides: they are those of the file's own logger."""
    logger = training["logger"]
    given = [name for name in logger if f"training.logger.{name}" in overrides]
    training["logger"] = {name: logger[name] for name in given}


def check_logger(path: Path, config: Config) -> None:
    """RAISES (InputError): If the training's logger needs a package that isn't installed."""
    logger = config.interpolate()["training"]["logger"]
    try:
        with show_validation_error(path, hint_fill=False):
            registry.resolve({"logger": logger})
    except ImportError as error:
        raise InputError(f"{logger['@loggers']}: {error}") from None
