"""Train a pipeline with spaCy's training loop for whole epochs, so that it can be resumed."""

import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from confection import Config
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
from spacy.util import registry, resolve_dot_names
from thinc.api import fix_random_seed

import token_ner  # noqa: F401  to register the component
from conll_ner.common.console import InputError, first_line, msg
from conll_ner.common.device import peak_gpu_memory
from conll_ner.common.machine import peak_memory_mb
from conll_ner.common.training_log import TimedLog, cut_log, read_log
from conll_ner.training.config import one_line_errors
from conll_ner.training.planning import is_read_again, plan_steps
from conll_ner.training.state import Evaluation, State, restore_state, save_state

LOG = "log.jsonl"


def train_pipeline(nlp: Language, output: Path, state: State) -> None:
    """Train as `spacy.training.loop.train`, and also write the training log and, after every
    evaluation, the state.

    nlp (Language): Initialized, with the planned config.
    output (Path): For model-best, model-last, the log and the state.
    state (State): From which the training continues.
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
    log = TimedLog(output / LOG)
    with nlp.select_pipes(disable=training["frozen_components"]):
        log_step, finalize = training["logger"](nlp, sys.stdout, sys.stderr)
    is_saved = bool(state.evaluations)
    try:
        for info, is_best in iterate_steps(nlp, training, batches, evaluate, output, state):
            is_saved = is_best is not None
            if is_saved:
                with nlp.select_pipes(disable=training["frozen_components"]):
                    update_meta(training, nlp, info)
                save_pipeline(nlp, output, training, is_best=bool(is_best))
            log_step(info if is_saved else None)
            log.log_step(info if is_saved else None)
            if is_saved:
                state = state.advance(info)
                save_state(output, state, nlp, training["optimizer"])
                log.leave_out_time()
    finally:
        finalize()
    if not is_saved:  # the last step of the config isn't evaluated
        save_pipeline(nlp, output, training, is_best=False)


def iterate_steps(
    nlp: Language,
    training: dict[str, Any],
    batches: Iterator[Any],
    evaluate: Callable[[], Evaluation],
    folder: Path,
    state: State,
) -> Iterator[tuple[dict[str, Any], bool | None]]:
    """Run spaCy's loop, and continue from a state. The loop goes through the steps before it too,
    so that schedules, patience and the order of the documents are those of an uninterrupted
    training, but without documents, so that it updates nothing, and with the evaluations of the
    state.

    YIELDS (tuple[dict[str, Any], bool | None]): For each new step, spaCy's information on it, and
        whether it is the best one; None if it wasn't evaluated.
    """

    def continue_batches() -> Iterator[Any]:
        for epoch, _ in islice(batches, state.step + 1):
            yield epoch, []
        if state.evaluations:
            restore_state(folder, nlp, training["optimizer"])
        yield from batches

    evaluations = iter(state.evaluations)
    steps = train_while_improving(
        nlp,
        training["optimizer"],
        continue_batches(),
        lambda: next(evaluations, None) or evaluate(),
        dropout=training["dropout"],
        accumulate_gradient=training["accumulate_gradient"],
        patience=training["patience"],
        max_steps=training["max_steps"],
        eval_frequency=training["eval_frequency"],
        exclude=training["frozen_components"],
        annotating_components=training["annotating_components"],
        before_update=training["before_update"],
    )
    for _, info, is_best in steps:
        if info["step"] > state.step:
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


def name_unexportable(nlp: Language) -> None:
    """Say now what hf-export would refuse after the training."""
    for _, component in nlp.pipeline:
        shims = getattr(getattr(component, "model", None), "shims", ())
        if any(hasattr(getattr(shim, "_model", None), "case_embedding") for shim in shims):
            msg.info(
                "The backbone ignores the letter case, so vectors for it are learnt. transformers "
                "has none: to export the pipeline to Hugging Face, train with "
                "--components.transformer.model.case_embedding false (docs/huggingface.md)"
            )


def run_training(
    config: Config,
    output: Path,
    gpu: int,
    state: State,
) -> dict[str, Any]:
    """Train, and write model-best, model-last and log.jsonl to the folder `output`.

    config (Config): Not interpolated, before `plan_steps`.
    state (State): From which the training continues; of an interrupted one in the same folder.
    RETURNS (dict[str, Any]): Steps, epochs, seconds, best dev score, memory, and the step after
        which the training was resumed.
    RAISES (InputError): If the weights are not finite.
    """
    epochs = config["training"]["max_epochs"]
    config = plan_steps(config)
    log_path = output / LOG
    start = time.perf_counter()
    if state.evaluations:
        cut_log(log_path, state.step + 1)
        start -= read_log(log_path)[-1].seconds
    try:
        with one_line_errors("the config"):
            nlp = init_nlp(config, use_gpu=gpu)
    except ValueError as error:  # a setting that a component or the backbone refuses
        raise InputError(first_line(error)) from error
    name_unexportable(nlp)
    try:
        train_pipeline(nlp, output, state)
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
        "resumed_after_step": state.step + 1 if state.evaluations else None,
        "peak_memory_mb": round(peak_memory_mb()),
        **peak_gpu_memory(gpu),
    }
