"""Mentions for files of any size: in parts, so that a broken-off run can go on."""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from spacy.language import Language
from spacy.tokens import Doc
from tqdm import tqdm

from console import InputError, clear_errors, msg
from evaluate import load_on_device
from files import written_aside
from outputs import FORMATS as OUTPUT_FORMATS
from outputs import join_bytes
from records import FORMATS as INPUT_FORMATS
from records import Record, Reject, list_files, read_records

# What is annotated, and kept, at once; and what a run that is broken off loses at most.
PART_RECORDS = 1000
PART_CHARACTERS = 500_000
BATCH_CHARACTERS = 50_000  # that go through the pipeline together
SOME_REJECTED = 3  # the exit code
REJECTS = ".rejects.jsonl"
COUNTS = ".json"
Part = list[Record | Reject]


# --- Annotating ---


def load(pipeline: str, device: str, threshold: float | None, labels: Sequence[str]) -> Language:
    """RETURNS (Language): The pipeline, ready to annotate.
    RAISES (InputError): If it has no scores for the threshold, or not one of the labels."""
    nlp, _ = load_on_device(pipeline, device)
    heads = [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory == "token_ner"]
    if threshold is not None and not heads:
        raise InputError(f"{pipeline} gives no scores; leave --threshold out")
    for name in heads if threshold is not None else ():
        nlp.get_pipe(name).cfg["threshold"] = threshold  # type: ignore[attr-defined]
    known = {label for values in nlp.pipe_labels.values() for label in values}
    unknown = sorted(set(labels) - known)
    if unknown:
        raise InputError(f"{pipeline} has no {', '.join(unknown)}; it has {', '.join(known)}")
    return nlp


def batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """YIELDS (list[int]): Indices of texts of like length."""
    batch: list[int] = []
    size = 0
    for i in sorted(range(len(texts)), key=lambda i: (len(texts[i]), i)):
        if batch and size + len(texts[i]) > BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
        batch.append(i)
        size += len(texts[i])
    if batch:
        yield batch


def annotate(nlp: Language, texts: Sequence[str], labels: Sequence[str]) -> list[Doc]:
    """Annotate texts in batches of like length.

    labels (Sequence[str]): The types to keep; none keeps all.
    RETURNS (list[Doc]): In the order of the texts, without the transformer's output.
    """
    docs: dict[int, Doc] = {}
    for batch in batches(texts):
        found = nlp.pipe([texts[i] for i in batch], batch_size=len(batch))
        for i, doc in zip(batch, found, strict=True):
            doc.user_data.clear()  # hidden states are a hundred times the text
            if labels:
                doc.set_ents([ent for ent in doc.ents if ent.label_ in labels], default="outside")
            docs[i] = doc
    return [docs[i] for i in range(len(texts))]


class Annotator:
    """Writes parts; there is one in each process.

    labels (Sequence[str]): The types to keep; none keeps all.
    folder (Path): Where parts go.
    suffix (str): One of outputs.FORMATS.
    """

    def __init__(self, nlp: Language, labels: Sequence[str], folder: Path, suffix: str) -> None:
        self.nlp = nlp
        self.labels = labels
        self.folder = folder
        self.suffix = suffix

    def write_part(self, number: int, part: Part) -> dict[str, int]:
        """Annotate a part and write it, its rejects, and last the counts, which say that it is
        whole.

        RETURNS (dict[str, int]): Texts, words, mentions, rejected records.
        RAISES (InputError): If the pipeline's weights are broken.
        """
        limit = self.nlp.max_length
        items = [reject_if_longer(item, limit) for item in part]
        rejects = [item for item in items if isinstance(item, Reject)]
        records = [item for item in items if isinstance(item, Record)]
        try:
            with self.nlp.memory_zone():  # else the vocabulary grows with every new word
                docs = annotate(self.nlp, [record.text for record in records], self.labels)
                write = OUTPUT_FORMATS[self.suffix].write
                write(records, docs, self.folder / f"{number:06}{self.suffix}")
                counts = {
                    "texts": len(docs),
                    "words": sum(map(len, docs)),
                    "mentions": sum(len(doc.ents) for doc in docs),
                    "rejected": len(rejects),
                }
                del docs
        except FloatingPointError as error:
            raise InputError(str(error)) from None
        with (self.folder / f"{number:06}{REJECTS}").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(reject._asdict()) + "\n" for reject in rejects)
        with written_aside(self.folder / f"{number:06}{COUNTS}") as aside:
            done = {"records": digest(part), "counts": counts}
            aside.write_text(json.dumps(done), encoding="utf-8")
        return counts


def reject_if_longer(item: Record | Reject, limit: int) -> Record | Reject:
    if isinstance(item, Reject) or len(item.text) <= limit:
        return item
    reason = f"{len(item.text):,} characters, more than the pipeline's max_length of {limit:,}"
    return Reject(item.source, item.line, reason)


# --- Parts, in one process or several ---


def cut_parts(items: Iterable[Record | Reject]) -> Iterator[Part]:
    """YIELDS (Part): Items in order, at least one part, which may be empty. Where one ends
    depends on the input alone, so that a resumed run cuts the same."""
    part: Part = []
    size = 0
    first = True
    for item in items:
        length = len(item.text) if isinstance(item, Record) else 0
        if part and (len(part) == PART_RECORDS or size + length > PART_CHARACTERS):
            yield part
            part, size, first = [], 0, False
        part.append(item)
        size += length
    if part or first:
        yield part


def write_parts(
    parts: Iterable[Part], folder: Path, arguments: tuple[Any, ...], processes: int
) -> Iterator[tuple[dict[str, int], bool]]:
    """Write the parts that aren't there yet.

    arguments (tuple): Of make_annotator.
    YIELDS (tuple[dict[str, int], bool]): Each part's counts, in order, and whether it is new.
    RAISES (InputError): As write_part, or if a process dies.
    """
    if processes == 1:
        annotator = make_annotator(*arguments)
        for number, part in enumerate(parts):
            done = read_counts(folder, number, part)
            yield (done, False) if done else (annotator.write_part(number, part), True)
        return
    waiting: deque[dict[str, int] | Future[dict[str, int]]] = deque()
    pool = ProcessPoolExecutor(
        processes, get_context("spawn"), start_worker, (processes, *arguments)
    )
    try:
        for number, part in enumerate(parts):
            waiting.append(read_counts(folder, number, part) or pool.submit(work, number, part))
            if len(waiting) > 2 * processes:  # no more of the input in memory than that
                yield finished(waiting.popleft())
        while waiting:
            yield finished(waiting.popleft())
    except BrokenProcessPool:
        raise InputError(
            "a process died, for want of memory perhaps; go on with --resume and fewer --processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def read_counts(folder: Path, number: int, part: Part) -> dict[str, int] | None:
    """RETURNS (dict[str, int] | None): A part's counts, if it is whole.
    RAISES (InputError): If it is of other records, as standard input may have another time."""
    path = folder / f"{number:06}{COUNTS}"
    if not path.is_file():
        return None
    done = json.loads(path.read_text(encoding="utf-8"))
    if done["records"] != digest(part):
        raise InputError(
            f"{folder} is of other input, from its part {number} on; leave --resume out to "
            "start anew"
        )
    counts: dict[str, int] = done["counts"]
    return counts


def digest(part: Part) -> str:
    """RETURNS (str): What tells a part's records from others."""
    return hashlib.sha256(repr(part).encode("utf-8", "backslashreplace")).hexdigest()


def finished(part: "dict[str, int] | Future[dict[str, int]]") -> tuple[dict[str, int], bool]:
    return (part, False) if isinstance(part, dict) else (part.result(), True)


def make_annotator(
    pipeline: str,
    device: str,
    threshold: float | None,
    labels: Sequence[str],
    folder: Path,
    suffix: str,
) -> Annotator:
    return Annotator(load(pipeline, device, threshold, labels), labels, folder, suffix)


WORKER: list[Annotator] = []  # of a process of the pool


def start_worker(processes: int, *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends all
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    WORKER.append(make_annotator(*arguments))


def work(number: int, part: Part) -> dict[str, int]:
    return WORKER[0].write_part(number, part)


# --- Files ---


def describe_run(pipeline: str, files: Sequence[Path], options: dict[str, Any]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): What a resumed run must have in common with the first."""
    looked_at = [Path(pipeline) / "meta.json", *files]
    return options | {
        "pipeline": pipeline,
        "parts": [PART_RECORDS, PART_CHARACTERS],
        "files": [
            [str(path), path.stat().st_size, path.stat().st_mtime_ns]
            for path in looked_at
            if path.is_file()
        ],
    }


def prepare(folder: Path, run: dict[str, Any], resume: bool) -> None:
    """Make the folder of parts; a resumed run finds the parts of the first there.

    RAISES (InputError): If they are of another run.
    """
    settings = folder / "run.json"
    if resume and settings.is_file():
        if json.loads(settings.read_text(encoding="utf-8")) != run:
            raise InputError(
                f"{folder} is of another pipeline, other files or other options; leave --resume "
                "out to start anew"
            )
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with written_aside(settings) as aside:
        aside.write_text(json.dumps(run, indent=2), encoding="utf-8")


def finish(folder: Path, output: Path, n_parts: int, rejected: int) -> Path:
    """Join the parts, and take them away.

    RETURNS (Path): The file of the rejected records, if there are any.
    RAISES (InputError): If the parts can't be one file.
    """
    numbers = range(n_parts)
    with written_aside(output) as aside:
        parts = [folder / f"{number:06}{output.suffix}" for number in numbers]
        OUTPUT_FORMATS[output.suffix].join(parts, aside)
    rejects = output.with_name(f"{output.name}{REJECTS}")
    rejects.unlink(missing_ok=True)
    if rejected:
        with written_aside(rejects) as aside:
            join_bytes([folder / f"{number:06}{REJECTS}" for number in numbers], aside)
    shutil.rmtree(folder)
    return rejects


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or installed package")],
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="File, folder, or - for standard input")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help=f"File: {', '.join(OUTPUT_FORMATS)}")
    ],
    format_: Annotated[
        str | None,
        typer.Option("--format", help="text (a text a line), jsonl, csv, parquet; else by ending"),
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field or column of the text")] = "text",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least score of a mention")
    ] = None,
    labels: Annotated[str, typer.Option(help="Types to keep, by commas; else all")] = "",
    processes: Annotated[int, typer.Option(min=1)] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU's number")] = "auto",
    resume: Annotated[bool, typer.Option(help="Go on with OUTPUT.partial")] = False,
) -> None:
    """Find the mentions of any number of texts. Records that can't be read go to
    OUTPUT.rejects.jsonl, and the exit code is then 3. A run that is broken off leaves
    OUTPUT.partial: --resume goes on from there, to the same bytes."""
    with clear_errors():
        if output.suffix not in OUTPUT_FORMATS:
            raise InputError(f"{output} must end in one of {', '.join(OUTPUT_FORMATS)}")
        known = sorted(set(INPUT_FORMATS.values()))
        if format_ not in (None, *known):
            raise InputError(f"--format {format_} is not one of {', '.join(known)}")
        files = list_files(source, format_)
        if output.resolve() in {path.resolve() for path in files}:
            raise InputError(f"{output} is among the input; write somewhere else")
        types = [label for label in labels.split(",") if label]
        options = {"format": format_, "text_field": text_field, "threshold": threshold}
        folder = output.with_name(f"{output.name}.partial")
        prepare(folder, describe_run(pipeline, files, options | {"labels": types}), resume)
        arguments = (pipeline, device, threshold, types, folder, output.suffix)
        parts = cut_parts(read_records(files, text_field, format_))
        totals: Counter[str] = Counter()
        new_words, n_parts = 0, 0
        start = time.perf_counter()
        try:
            with tqdm(unit=" words", unit_scale=True, disable=None) as progress:
                for counts, is_new in write_parts(parts, folder, arguments, processes):
                    totals.update(counts)
                    n_parts += 1
                    new_words += counts["words"] if is_new else 0
                    progress.update(counts["words"])
        except KeyboardInterrupt:
            print(f"Interrupted. {folder} is kept: go on with --resume", file=sys.stderr)
            sys.exit(130)
        except OSError as error:  # a full disk
            raise InputError(f"{error}; {folder} is kept: go on with --resume") from None
        seconds = time.perf_counter() - start
        rejects = finish(folder, output, n_parts, totals["rejected"])
        msg.good(
            f"{output}: {totals['texts']:,} texts, {totals['words']:,} words, "
            f"{totals['mentions']:,} mentions, {new_words / seconds:,.0f} words/s"
        )
        if totals["rejected"]:
            msg.warn(f"{totals['rejected']:,} records rejected, with reasons in {rejects}")
            sys.exit(SOME_REJECTED)


if __name__ == "__main__":
    typer.run(main)
