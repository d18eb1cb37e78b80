"""Measure one trained system in a process of its own: a pipeline, or a checkpoint with the tools of
Hugging Face."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import spacy
from spacy.tokens import Doc

from conll_ner.benchmarking.optimum_models import export_onnx, load_onnx
from conll_ner.benchmarking.systems import BATCH_SIZES, SPACY_BATCH_SIZE, time_passes
from conll_ner.common.machine import peak_memory_mb
from conll_ner.data.docs import read_gold

FIRST = "Ada Lindqvist of the Norden Bank left Varnholm on Monday."
PIPELINE = "pipeline"
# What reads a checkpoint: transformers' pipeline in a precision, or Optimum's on ONNX Runtime.
CHECKPOINT_KINDS = ("transformers-float32", "transformers-bfloat16", "onnx-float32", "onnx-int8")
Mentions = set[tuple[int, int, int, str]]  # document, start and end character, label


class Ready(NamedTuple):
    """A loaded system.

    folder (Path): What it needs on disk.
    batch_sizes (Sequence[int]): Those to try.
    annotate (Callable): Takes documents and a batch size, and finds mentions.
    """

    folder: Path
    batch_sizes: Sequence[int]
    annotate: Callable[[Sequence[Doc], int], Mentions]


def measure(
    kind: str, folder: Path, gold: Path, work: Path, documents: int, start: float
) -> dict[str, Any]:
    """Load a system, annotate a text, and then the first gold documents several times.

    kind (str): PIPELINE or one of CHECKPOINT_KINDS.
    work (Path): A folder for Optimum's models.
    start (float): When the process was started, in seconds since the epoch.
    RETURNS (dict[str, Any]): Seconds from the start to the first text's mentions; memory then and
        at most, in MiB; size on disk, in MB; and words per second by batch size.
    """
    system = load_system(kind, folder, work)
    system.annotate([spacy.blank("xx").make_doc(FIRST)], 1)
    first = time.time() - start
    memory = peak_memory_mb()
    docs = read_gold(gold, spacy.blank("xx").vocab)[:documents]

    def run(size: int) -> Callable[[], object]:
        return lambda: system.annotate(docs, size)

    runs = {str(size): run(size) for size in system.batch_sizes}
    return {
        "first_text_seconds": round(first, 2),
        "first_text_memory_mb": round(memory),
        "words_per_second": time_passes(runs, sum(map(len, docs)), 1),
        "peak_memory_mb": round(peak_memory_mb()),
        "megabytes": round(sum(f.stat().st_size for f in list_files(system.folder)) / 1e6, 1),
    }


def measure_f1(kind: str, folder: Path, gold: Path, work: Path) -> float:
    """RETURNS (float): conlleval's F1 on all gold documents: a mention is right if its characters
    and its label are."""
    system = load_system(kind, folder, work)
    docs = read_gold(gold, spacy.blank("xx").vocab)
    expected = {
        (i, ent.start_char, ent.end_char, ent.label_)
        for i, doc in enumerate(docs)
        for ent in doc.ents
    }
    found = system.annotate(docs, system.batch_sizes[0])
    return 2 * len(expected & found) / max(1, len(expected) + len(found))


def load_system(kind: str, folder: Path, work: Path) -> Ready:
    return load_spacy(folder) if kind == PIPELINE else load_checkpoint(kind, folder, work)


def list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def load_spacy(folder: Path) -> Ready:
    nlp = spacy.load(folder)

    def annotate(docs: Sequence[Doc], batch_size: int) -> Mentions:
        copies = (
            Doc(nlp.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc])
            for doc in docs
        )
        return {
            (i, ent.start_char, ent.end_char, ent.label_)
            for i, doc in enumerate(nlp.pipe(copies, batch_size=batch_size))
            for ent in doc.ents
        }

    return Ready(folder, sorted({nlp.batch_size, SPACY_BATCH_SIZE}), annotate)


def load_checkpoint(kind: str, folder: Path, work: Path) -> Ready:
    """RETURNS (Ready): transformers' pipeline, which reads sentences."""
    import torch
    import transformers

    runtime, _, precision = kind.partition("-")
    on_disk = folder if runtime == "transformers" else export_onnx(folder, work, precision)
    recognise = transformers.pipeline(
        "token-classification",
        model=str(folder) if runtime == "transformers" else load_onnx(on_disk),
        tokenizer=str(folder),
        aggregation_strategy="simple",
        device="cpu",
        torch_dtype=torch.bfloat16 if precision == "bfloat16" else torch.float32,
    )

    def annotate(docs: Sequence[Doc], batch_size: int) -> Mentions:
        sentences = [(i, sent) for i, doc in enumerate(docs) for sent in sentences_of(doc)]
        texts = [sent.text for _, sent in sentences]
        return {
            (i, sent.start_char + e["start"], sent.start_char + e["end"], e["entity_group"])
            for (i, sent), found in zip(
                sentences, recognise(texts, batch_size=batch_size), strict=True
            )
            for e in found
        }

    return Ready(on_disk, BATCH_SIZES["cpu"], annotate)


def sentences_of(doc: Doc) -> list[Any]:
    return list(doc.sents) if doc.has_annotation("SENT_START") else [doc[:]]
