"""Annotate in parts that are saved one by one, so that an interrupted run can resume."""

import hashlib
import json
import os
import shutil
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from spacy.language import Language

from common.console import InputError
from common.files import atomic_write
from texts.annotating import (
    PART_CHARACTERS,
    PART_RECORDS,
    Part,
    annotate_texts,
    load_for_annotation,
    reject_if_longer,
)
from texts.outputs import FORMATS as OUTPUT_FORMATS
from texts.outputs import join_bytes
from texts.records import Record, Reject

REJECTS_SUFFIX = ".rejects.jsonl"
COUNTS_SUFFIX = ".json"


class Annotator:
    """Annotates and writes parts. There is one per process.

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
        """Annotate a part and write it, its rejects, and last its counts, which mark it as
        complete.

        RETURNS (dict[str, int]): Texts, words, mentions, rejected records.
        RAISES (InputError): If the pipeline's weights are broken.
        """
        limit = self.nlp.max_length
        items = [reject_if_longer(item, limit) for item in part]
        rejects = [item for item in items if isinstance(item, Reject)]
        records = [item for item in items if isinstance(item, Record)]
        try:
            with self.nlp.memory_zone():  # otherwise the vocabulary grows with every new word
                docs = annotate_texts(self.nlp, [record.text for record in records], self.labels)
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
        with (self.folder / f"{number:06}{REJECTS_SUFFIX}").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(reject._asdict()) + "\n" for reject in rejects)
        with atomic_write(self.folder / f"{number:06}{COUNTS_SUFFIX}") as temporary:
            done = {"records": digest_part(part), "counts": counts}
            temporary.write_text(json.dumps(done), encoding="utf-8")
        return counts


def write_parts(
    parts: Iterable[Part], folder: Path, arguments: tuple[Any, ...], processes: int
) -> Iterator[tuple[dict[str, int], bool]]:
    """Write the missing parts.

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
            waiting.append(
                read_counts(folder, number, part) or pool.submit(write_part_in_worker, number, part)
            )
            if len(waiting) > 2 * processes:  # bounds the input in memory
                yield part_result(waiting.popleft())
        while waiting:
            yield part_result(waiting.popleft())
    except BrokenProcessPool:
        raise InputError(
            "a process died, perhaps out of memory; use --resume and fewer --processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def read_counts(folder: Path, number: int, part: Part) -> dict[str, int] | None:
    """RETURNS (dict[str, int] | None): The counts of a part, if it is complete.
    RAISES (InputError): If it was made from other records, as from another standard input."""
    path = folder / f"{number:06}{COUNTS_SUFFIX}"
    if not path.is_file():
        return None
    done = json.loads(path.read_text(encoding="utf-8"))
    if done["records"] != digest_part(part):
        raise InputError(
            f"{folder} belongs to other input, from part {number} on; omit --resume to start over"
        )
    counts: dict[str, int] = done["counts"]
    return counts


def digest_part(part: Part) -> str:
    """RETURNS (str): A hash of the records of a part."""
    return hashlib.sha256(repr(part).encode("utf-8", "backslashreplace")).hexdigest()


def part_result(part: "dict[str, int] | Future[dict[str, int]]") -> tuple[dict[str, int], bool]:
    return (part, False) if isinstance(part, dict) else (part.result(), True)


def make_annotator(
    pipeline: str,
    device: str,
    threshold: float | None,
    labels: Sequence[str],
    folder: Path,
    suffix: str,
) -> Annotator:
    return Annotator(
        load_for_annotation(pipeline, device, threshold, labels), labels, folder, suffix
    )


WORKER: list[Annotator] = []  # in a worker process


def start_worker(processes: int, *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles it
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    WORKER.append(make_annotator(*arguments))


def write_part_in_worker(number: int, part: Part) -> dict[str, int]:
    return WORKER[0].write_part(number, part)


def identify_run(pipeline: str, files: Sequence[Path], options: dict[str, Any]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): What must be the same in a resumed run."""
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


def prepare_parts(folder: Path, run: dict[str, Any], resume: bool) -> None:
    """Create the folder of parts; a resumed run keeps the existing ones.

    RAISES (InputError): If they belong to another run.
    """
    settings = folder / "run.json"
    if resume and settings.is_file():
        if json.loads(settings.read_text(encoding="utf-8")) != run:
            raise InputError(
                f"{folder} belongs to another pipeline, other files or other options; omit "
                "--resume to start over"
            )
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with atomic_write(settings) as temporary:
        temporary.write_text(json.dumps(run, indent=2), encoding="utf-8")


def join_parts(folder: Path, output: Path, n_parts: int, rejected: int) -> Path:
    """Join the parts into the output and delete them.

    RETURNS (Path): The file of the rejected records, if there are any.
    RAISES (InputError): If the parts can't be one file.
    """
    numbers = range(n_parts)
    with atomic_write(output) as temporary:
        parts = [folder / f"{number:06}{output.suffix}" for number in numbers]
        OUTPUT_FORMATS[output.suffix].join(parts, temporary)
    rejects = output.with_name(f"{output.name}{REJECTS_SUFFIX}")
    rejects.unlink(missing_ok=True)
    if rejected:
        with atomic_write(rejects) as temporary:
            join_bytes([folder / f"{number:06}{REJECTS_SUFFIX}" for number in numbers], temporary)
    shutil.rmtree(folder)
    return rejects
