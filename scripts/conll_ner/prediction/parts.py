"""Annotate in parts that are saved one by one, so that an interrupted run can be resumed."""

import hashlib
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.util import get_package_path, is_package

from conll_ner.common.console import InputError
from conll_ner.common.files import atomic_write, delete_output, fresh_folder, read_json, write_json
from conll_ner.common.hub import download_pipeline, is_hub_id
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.prediction.annotating import (
    PART_CHARACTERS,
    PART_RECORDS,
    Part,
    annotate_texts,
    has_candidates,
    load_for_annotation,
    reject_overwritten,
    reject_unwritable,
)
from conll_ner.prediction.outputs import CANDIDATES, Format, Join, join_bytes
from conll_ner.prediction.records import REJECTS_SUFFIX, rejects_file

COUNTS_SUFFIX = ".json"


class Job(NamedTuple):
    """What is done with each part. Worker processes compare jobs, so that each loads a pipeline
    once.

    least (tuple[float | None, float | None]): Threshold and least score of candidates; None for
        the pipeline's own.
    labels (tuple[str, ...]): The labels to keep; all if empty.
    folder (Path): The folder of the parts.
    format_ (Format): How parts are written.
    """

    pipeline: str
    device: str
    least: tuple[float | None, float | None]
    labels: tuple[str, ...]
    folder: Path
    format_: Format


class Annotator:
    """Annotates and writes parts. Each process has its own.

    labels (Sequence[str]): The labels to keep; all if empty.
    folder (Path): The folder of the parts.
    """

    def __init__(self, nlp: Language, labels: Sequence[str], folder: Path, format_: Format) -> None:
        self.nlp = nlp
        self.labels = labels
        self.folder = folder
        self.format = format_

    def write_part(self, number: int, part: Part) -> dict[str, int]:
        """Annotate a part. Write its documents, its rejects, and last its counts, which mark the
        part as complete.

        RETURNS (dict[str, int]): The numbers of texts, words, mentions and rejected records.
        RAISES (FloatingPointError): If the pipeline's weights are not finite.
        """
        added = [x for x in self.format.adds if x != CANDIDATES or has_candidates(self.nlp)]
        items = [reject_overwritten(item, added) for item in part]
        items = [reject_unwritable(item, self.format.problem) for item in items]
        rejects = [item for item in items if isinstance(item, Issue)]
        records = [item for item in items if isinstance(item, Annotated)]
        with self.nlp.memory_zone():  # otherwise the vocabulary grows with every new word
            docs = annotate_texts(self.nlp, [record.text for record in records], self.labels)
            self.format.write(records, docs, self.folder / f"{number:06}")
            counts = {
                "texts": len(docs),
                "words": sum(map(len, docs)),
                "mentions": sum(len(doc.ents) for doc in docs),
                "rejected": len(rejects),
            }
            del docs
        with (self.folder / f"{number:06}{REJECTS_SUFFIX}").open("w", encoding="utf-8") as file:
            file.writelines(reject.to_json() for reject in rejects)
        done = {"records": digest_part(part), "counts": counts}
        write_json(self.folder / f"{number:06}{COUNTS_SUFFIX}", done)
        return counts


def write_parts(
    parts: Iterable[Part], job: Job, processes: int
) -> Iterator[tuple[dict[str, int], bool]]:
    """Write the parts that are not complete yet.

    YIELDS (tuple[dict[str, int], bool]): The counts of each part, in order, and whether this run
        wrote it.
    RAISES (InputError): As `Annotator.write_part`, or if a worker process dies.
    """
    if processes == 1:
        annotator = make_annotator(job)
        for number, part in enumerate(parts):
            done = read_counts(job.folder, number, part)
            yield (done, False) if done else (annotator.write_part(number, part), True)
        return
    waiting: deque[dict[str, int] | Future[dict[str, int]]] = deque()
    pool = ProcessPoolExecutor(
        processes, get_context("spawn"), start_worker, (os.getpid(), processes)
    )
    try:
        for number, part in enumerate(parts):
            waiting.append(
                read_counts(job.folder, number, part)
                or pool.submit(write_part_in_worker, job, number, part)
            )
            if len(waiting) > 2 * processes:  # to limit the parts in memory
                yield wait_for_counts(waiting.popleft())
        while waiting:
            yield wait_for_counts(waiting.popleft())
    except BrokenProcessPool:
        raise InputError(
            "a worker process died, perhaps out of memory; resume with --resume and fewer "
            "--processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def read_counts(folder: Path, number: int, part: Part) -> dict[str, int] | None:
    """RETURNS (dict[str, int] | None): The counts of a part if it is complete.
    RAISES (InputError): If it was made from other records; standard input, for example, may have
        changed."""
    path = folder / f"{number:06}{COUNTS_SUFFIX}"
    if not path.is_file():
        return None
    done = read_json(path, "omit --resume to start over")
    if done["records"] != digest_part(part):
        raise InputError(
            f"{folder}: the input has changed since, from part {number} on; omit --resume to start "
            "over"
        )
    counts: dict[str, int] = done["counts"]
    return counts


def digest_part(part: Part) -> str:
    """RETURNS (str): A hash of the part's records."""
    return hashlib.sha256(repr(part).encode("utf-8", "backslashreplace")).hexdigest()


def wait_for_counts(
    part: "dict[str, int] | Future[dict[str, int]]",
) -> tuple[dict[str, int], bool]:
    """RETURNS (tuple[dict[str, int], bool]): The part's counts, and whether this run wrote it."""
    return (part, False) if isinstance(part, dict) else (part.result(), True)


def make_annotator(job: Job) -> Annotator:
    threshold, candidates = job.least
    nlp = load_for_annotation(job.pipeline, job.device, threshold, job.labels, candidates)
    return Annotator(nlp, job.labels, job.folder, job.format_)


make_annotator_once = cache(make_annotator)


def start_worker(parent: int, processes: int) -> None:
    """Prepare a worker process.

    parent (int): The main process, which may have been killed by now.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles it
    Thread(target=end_with_parent, args=(parent,), daemon=True).start()
    if find_spec("torch"):
        import torch

        torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))


def end_with_parent(parent: int) -> None:
    """End this process when its parent was killed: nobody else would."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def write_part_in_worker(job: Job, number: int, part: Part) -> dict[str, int]:
    """RETURNS (dict[str, int]): As Annotator.write_part, of the annotator that a process makes for
    its first part."""
    return make_annotator_once(job).write_part(number, part)


def fingerprint_run(
    pipeline: str, files: Sequence[Path], options: dict[str, Any]
) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Everything that must not change before a run is resumed."""
    return options | {
        "pipeline": pipeline,
        "parts": [PART_RECORDS, PART_CHARACTERS],
        "files": [
            [str(path), path.stat().st_size, path.stat().st_mtime_ns]
            for path in (*pipeline_files(pipeline), *files)
            if path.is_file()
        ],
    }


def pipeline_folder(pipeline: str) -> Path:
    """RETURNS (Path): A pipeline's folder, or that of an installed package or of a hub id."""
    if is_hub_id(pipeline):
        return download_pipeline(pipeline)
    folder = Path(pipeline)
    is_installed = not folder.is_dir() and is_package(pipeline)
    return get_package_path(pipeline) if is_installed else folder


def pipeline_files(pipeline: str) -> list[Path]:
    """RETURNS (list[Path]): All files of a pipeline's folder or of an installed package, which
    change when the package is upgraded."""
    folder = pipeline_folder(pipeline)
    found = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return sorted(found) if folder.is_dir() else []


def prepare_parts(folder: Path, run: dict[str, Any], resume: bool) -> None:
    """Create the folder of the parts. A resumed run keeps the existing parts.

    run (dict[str, Any]): The fingerprint of the run.
    RAISES (InputError): If the existing parts belong to another run.
    """
    settings = folder / "run.json"
    if resume and settings.is_file():
        if read_json(settings, "omit --resume to start over") != run:
            raise InputError(
                f"{folder} was made with another pipeline, other files or other options; omit "
                "--resume to start over"
            )
        return
    fresh_folder(folder)
    write_json(settings, run)


def join_parts(folder: Path, output: Path, totals: Mapping[str, int], join: Join) -> Path:
    """Join the parts to the output, and delete them.

    totals (Mapping[str, int]): The numbers of `parts` and of `rejected` records.
    RETURNS (Path): The file of the rejected records. It is written only if there are any.
    RAISES (InputError): If the parts can't be joined.
    """
    numbers = range(totals["parts"])
    with atomic_write(output) as temporary:
        join([folder / f"{number:06}" for number in numbers], temporary)
    rejects = rejects_file(output)
    delete_output(rejects)
    if totals["rejected"]:
        with atomic_write(rejects) as temporary:
            join_bytes([folder / f"{number:06}{REJECTS_SUFFIX}" for number in numbers], temporary)
    shutil.rmtree(folder)
    return rejects
