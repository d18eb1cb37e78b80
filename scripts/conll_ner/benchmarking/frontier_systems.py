"""Measure one trained system in a process of its own: a pipeline, or a checkpoint with the tools of
Hugging Face. Until the first text is annotated, only what that needs is imported."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from conll_ner.common.files import write_json
from conll_ner.common.machine import peak_memory_mb

if TYPE_CHECKING:
    from spacy.tokens import Doc

FIRST = "Ada Lindqvist of the Norden Bank left Varnholm on Monday."
# Pipelines with `token_ner`, on ONNX Runtime and on torch, with spaCy's own `ner`, and others.
SLIM, FULL = "token_ner slim", "token_ner"
TRANSITION, OTHER = "spaCy's ner", "other pipeline"
# What reads a checkpoint: transformers' pipeline in a precision, or Optimum's on ONNX Runtime.
CHECKPOINT_KINDS = (
    *("transformers float32", "transformers bfloat16"),
    *("Optimum float32", "Optimum int8"),
)
Mentions = set[tuple[int, int, int, str]]  # document, start and end character, label


class Ready(NamedTuple):
    """A loaded system.

    folder (Path): What it needs on disk.
    read (Callable): Annotates a text.
    annotate (Callable): Takes documents and a batch size, and finds mentions.
    batch_size (int | None): A pipeline's own.
    """

    folder: Path
    read: Callable[[str], object]
    annotate: Callable[[Sequence["Doc"], int], Mentions]
    batch_size: int | None = None


def main() -> None:
    """Measure a system, for `frontier`, which starts it with `measure`'s arguments in order, and
    then the JSON file to write."""
    kind, folder, gold, work, documents, start, output = sys.argv[1:]
    paths = Path(folder), Path(gold), Path(work)
    write_json(Path(output), measure(kind, *paths, int(documents), float(start)))


def measure(
    kind: str, folder: Path, gold: Path, work: Path, documents: int, start: float
) -> dict[str, Any]:
    """Load a system, annotate a text, and then gold documents.

    kind (str): SLIM, FULL, TRANSITION, OTHER or one of CHECKPOINT_KINDS.
    work (Path): A folder for Optimum's models.
    documents (int): How many documents to time; 0: F1 on all instead.
    start (float): When the process was started, in seconds since the epoch.
    RETURNS (dict[str, Any]): Seconds from the start to the first text's mentions; memory then and
        at most, in MiB; size on disk, in MB; and words per second by batch size, or F1.
    """
    system = (load_checkpoint if kind in CHECKPOINT_KINDS else load_spacy)(kind, folder, work)
    system.read(FIRST)
    found: dict[str, Any] = {
        "first_text_seconds": round(time.time() - start, 2),
        "first_text_memory_mb": round(peak_memory_mb()),
        "megabytes": round(sum(f.stat().st_size for f in list_files(system.folder)) / 1e6, 1),
    }
    from spacy.vocab import Vocab

    from conll_ner.data.docs import read_gold

    docs = read_gold(gold, Vocab())
    found |= time_system(system, docs[:documents]) if documents else {"f1": f1_of(system, docs)}
    return found | {"peak_memory_mb": round(peak_memory_mb())}


def time_system(system: Ready, docs: Sequence["Doc"]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Words per second by batch size."""
    from conll_ner.benchmarking.systems import BATCH_SIZES, SPACY_BATCH_SIZE, time_passes

    def run(size: int) -> Callable[[], object]:
        return lambda: system.annotate(docs, size)

    own = system.batch_size
    sizes = BATCH_SIZES["cpu"] if own is None else sorted({own, SPACY_BATCH_SIZE})
    runs = {str(size): run(size) for size in sizes}
    return {"words_per_second": time_passes(runs, sum(map(len, docs)), 1)}


def f1_of(system: Ready, docs: Sequence["Doc"]) -> float:
    """RETURNS (float): conlleval's F1: a mention is right if its characters and label are."""
    expected = {
        (i, ent.start_char, ent.end_char, ent.label_)
        for i, doc in enumerate(docs)
        for ent in doc.ents
    }
    found = system.annotate(docs, system.batch_size or 8)
    return 2 * len(expected & found) / max(1, len(expected) + len(found))


def list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def load_spacy(_: str, folder: Path, __: Path) -> Ready:
    """RETURNS (Ready): A pipeline, as an app loads it."""
    import spacy
    from spacy.tokens import Doc

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

    return Ready(folder, lambda text: nlp(text).ents, annotate, nlp.batch_size)


def load_checkpoint(kind: str, folder: Path, work: Path) -> Ready:
    """RETURNS (Ready): transformers' pipeline, which reads sentences."""
    import torch
    import transformers

    from conll_ner.benchmarking.optimum_models import export_onnx, load_onnx

    runtime, _, precision = kind.partition(" ")
    on_disk = folder if runtime == "transformers" else export_onnx(folder, work, precision)
    recognise = transformers.pipeline(
        "token-classification",
        model=str(folder) if runtime == "transformers" else load_onnx(on_disk),
        tokenizer=str(folder),
        aggregation_strategy="simple",
        device="cpu",
        torch_dtype=torch.bfloat16 if precision == "bfloat16" else torch.float32,
    )

    def annotate(docs: Sequence["Doc"], batch_size: int) -> Mentions:
        sentences = [(i, sent) for i, doc in enumerate(docs) for sent in sentences_of(doc)]
        texts = [sent.text for _, sent in sentences]
        return {
            (i, sent.start_char + e["start"], sent.start_char + e["end"], e["entity_group"])
            for (i, sent), found in zip(
                sentences, recognise(texts, batch_size=batch_size), strict=True
            )
            for e in found
        }

    return Ready(on_disk, recognise, annotate)


def sentences_of(doc: "Doc") -> list[Any]:
    return list(doc.sents) if doc.has_annotation("SENT_START") else [doc[:]]
