"""Train and predict with each of the compared systems."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from thinc.api import get_torch_default_device, require_gpu

from conll_ner.common.device import peak_gpu_memory
from conll_ner.common.machine import peak_memory_mb
from conll_ner.common.training_log import read_log

# Sentences per batch of the transformers pipeline. A GPU is idle at 1.
BATCH_SIZES = {"cpu": (1, 8, 32), "gpu": (8, 32, 128)}
SPACY_BATCH_SIZE = 128  # documents: nlp.batch_size of spaCy's quickstart for transformers


class System(NamedTuple):
    """A system to compare.

    recipe (str): "trainer", or the name of a config; of systems that aren't trained, "optimum" (the
        transformers pipeline on ONNX Runtime) or "slim".
    learn_rate (float): 0 for systems that aren't trained.
    bfloat16 (bool): Whether the Trainer and the transformers pipeline run in bfloat16.
    model_of (str | None): The system with whose model it predicts; None if it is trained itself.
    """

    name: str
    recipe: str
    learn_rate: float
    bfloat16: bool = False
    model_of: str | None = None


# 2e-5 is the recipe's learning rate; 2e-4 suits the small backbone.
SYSTEMS = (
    System("trainer-2e-5", "trainer", 2e-5),
    System("trainer-2e-4", "trainer", 2e-4),
    System("trainer-bfloat16", "trainer", 2e-5, bfloat16=True),
    System("transition_ner", "transition_ner", 2e-4),
    System("token_ner", "token_ner", 2e-4),
    System("trainer-onnx", "optimum", 0, model_of="trainer-2e-5"),
    System("token_ner-slim", "slim", 0, model_of="token_ner"),
)
OURS = "token_ner"


def train_spacy(
    system: System, corpus: Path, backbone: Path, epochs: int, gpu: int
) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Seconds, memory, F1 on dev and test, and dev F1 over time."""
    from conll_ner.training.backbone_defaults import (
        AUTO,
        CASE_FACTOR,
        LEARN_RATE,
        WINDOW,
        resolve_auto,
    )
    from conll_ner.training.config import load_checked_config
    from conll_ner.training.loop import run_training
    from conll_ner.training.state import State

    output = corpus.parent / system.name
    output.mkdir()
    overrides = {
        "paths.train": str(corpus / "train.spacy"),
        "paths.dev": str(corpus / "dev.spacy"),
        "paths.backbone": str(backbone),
        "training.max_epochs": epochs,
        LEARN_RATE: system.learn_rate,
        WINDOW: AUTO,
        CASE_FACTOR: AUTO,
    }
    path = Path("configs") / f"{system.recipe}.cfg"  # in the project's folder
    config = load_checked_config(path, resolve_auto(path, overrides, gpu))
    if gpu >= 0:
        require_gpu(gpu)
    run = run_training(config, output, gpu, State({}))
    rows = read_log(output / "log.jsonl")
    curve = [[round(row.training_seconds, 1), row.f1] for row in rows]
    (output / "model-best").rename(output / "model")
    return {
        "seconds_per_epoch": run["seconds_per_epoch"],
        "training_seconds": curve[-1][0],
        "peak_memory_mb": run["peak_memory_mb"],
        **peak_gpu_memory(gpu),
        "curve": curve,
        **score_spacy(output / "model", corpus),
    }


def score_spacy(model: Path, corpus: Path) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): F1 on dev and test; for `token_ner` also by precision."""
    from conll_ner.common.pipelines import load_pipeline
    from conll_ner.data.docs import read_gold
    from conll_ner.evaluation.seqeval_scores import annotate_gold, score
    from token_ner.torch_model.forward import has_bfloat16

    nlp = load_pipeline(str(model))
    transformer: Any = nlp.get_pipe("transformer")
    windowing = transformer.model.attrs.get("windowing")
    result = {}
    for split in ("dev", "test"):
        gold = read_gold(corpus / f"{split}.spacy", nlp.vocab)
        if windowing is None:
            result[f"{split}_f1"] = score(gold, annotate_gold(nlp, gold))["conlleval"]["overall"][
                "f1"
            ]
            continue
        for precision in ("float32", "bfloat16"):
            transformer.model.attrs["windowing"] = replace(windowing, precision=precision)
            f1 = score(gold, annotate_gold(nlp, gold))["conlleval"]["overall"]["f1"]
            result[f"{split}_f1_{precision}"] = f1
        native = "bfloat16" if has_bfloat16(get_torch_default_device()) else "float32"
        result[f"{split}_f1"] = result[f"{split}_f1_{native}"]  # what "auto" selects
    return result


def train_trainer(
    system: System, corpus: Path, backbone: Path, epochs: int, gpu: int
) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): As `train_spacy`, with F1 by wordpiece in addition."""
    from conll_ner.benchmarking import trainer

    output = corpus.parent / system.name
    output.mkdir()
    arguments = trainer.make_arguments(
        output,
        learn_rate=system.learn_rate,
        epochs=epochs,
        seed=0,
        gpu=gpu,
        bfloat16=system.bfloat16,
    )
    test = trainer.train(corpus, backbone, output, arguments)
    rows = read_log(output / "log.jsonl")
    return {
        "seconds_per_epoch": round(rows[-1].training_seconds / epochs, 1),
        "training_seconds": rows[-1].training_seconds,
        "peak_memory_mb": round(peak_memory_mb()),
        **peak_gpu_memory(gpu),
        "curve": [[row.training_seconds, row.f1] for row in rows],
        "dev_f1": rows[-1].f1,
        "test_f1": test["word_f1"],
        "dev_f1_wordpiece": rows[-1].scores["wordpiece_f1"],
        "test_f1_wordpiece": test["wordpiece_f1"],
    }


def predict_spacy(system: System, corpus: Path, passes: int, gpu: int) -> dict[str, float]:
    """RETURNS (dict[str, float]): Words per second by batch size; batches are of documents."""
    from conll_ner.common.pipelines import load_pipeline
    from conll_ner.data.docs import read_gold
    from conll_ner.evaluation.seqeval_scores import copy_words

    if gpu >= 0:
        require_gpu(gpu)
    folder = corpus.parent / (system.model_of or system.name) / "model"
    nlp = load_pipeline(str(folder if system.model_of is None else make_slim_model(folder)))
    gold = read_gold(corpus / "dev.spacy", nlp.vocab)
    words = sum(map(len, gold))

    def run(batch_size: int) -> Callable[[], object]:
        return lambda: sum(
            len(doc.ents)
            for doc in nlp.pipe((copy_words(doc, nlp) for doc in gold), batch_size=batch_size)
        )

    sizes = sorted({nlp.batch_size, SPACY_BATCH_SIZE})
    return time_passes({str(size): run(size) for size in sizes}, words, passes)


def predict_trainer(system: System, corpus: Path, passes: int, gpu: int) -> dict[str, float]:
    """RETURNS (dict[str, float]): Words per second by batch size; batches are of sentences."""
    import torch
    import transformers

    from conll_ner.data.wordpiece_labels import read_sentences

    folder = corpus.parent / (system.model_of or system.name) / "model"
    recognise = transformers.pipeline(
        "token-classification",
        model=str(folder) if system.model_of is None else load_exported(folder),
        tokenizer=str(folder),
        aggregation_strategy="simple",
        device=gpu if gpu >= 0 else "cpu",
        torch_dtype=torch.bfloat16 if system.bfloat16 else torch.float32,
    )
    sentences = read_sentences(corpus / "valid.txt")
    texts = [" ".join(sentence.words) for sentence in sentences]
    words = sum(len(sentence.words) for sentence in sentences)

    def run(batch_size: int) -> Callable[[], object]:
        return lambda: recognise(texts, batch_size=batch_size)

    sizes = BATCH_SIZES["gpu" if gpu >= 0 else "cpu"]
    return time_passes({str(size): run(size) for size in sizes}, words, passes)


def make_slim_model(folder: Path) -> Path:
    """RETURNS (Path): The slim pipeline, in int8, of a trained one; beside it."""
    from conll_ner.common.pipelines import load_pipeline
    from conll_ner.packaging.slimming.pipeline import make_slim
    from conll_ner.packaging.slimming.source import find_source

    slim = folder.with_name("slim")
    if not slim.exists():
        nlp = load_pipeline(str(folder))
        make_slim(nlp, find_source(nlp, str(folder)), str(folder), "int8").to_disk(slim)
    return slim


def load_exported(folder: Path) -> Any:
    """RETURNS (ORTModelForTokenClassification): A checkpoint on ONNX Runtime, in float32."""
    from conll_ner.benchmarking.optimum_models import export_onnx, load_onnx

    return load_onnx(export_onnx(folder, folder.parent, "float32"))


def time_passes(runs: dict[str, Callable[[], object]], words: int, passes: int) -> dict[str, float]:
    """Time functions in alternation, after a warm-up.

    runs (dict[str, Callable[[], object]]): By name, a function that makes one pass.
    words (int): Words per pass.
    RETURNS (dict[str, float]): Words per second by name, from the median of the passes.
    """
    next(iter(runs.values()))()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(passes):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: round(words / statistics.median(times)) for name, times in seconds.items()}
