"""Mentions for Parquet of any size by the workers of a Ray cluster, a partition at a time."""

import json
import logging
import math
import os
import socket
import sys
import time
import uuid
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pyarrow
import pyarrow.parquet
import torch
import typer
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem
from spacy.language import Language
from tqdm import tqdm

from console import InputError, clear_errors, msg
from outputs import MENTION, list_mentions
from predict import SOME_REJECTED, annotate, cut_parts, load, reject_if_longer
from records import Record, Reject, check, check_column

# What a worker does at once, a file of the output, and what a lost worker loses at most: about 40
# seconds on a core. Cut by the text's bytes, unless it compresses so well that they mislead.
PARTITION_BYTES = 1_000_000
PARTITION_ROWS = 10_000
MAX_BLOCKS = 10_000  # that Ray's driver keeps account of
ANSWER_SECONDS = 10.0  # for the head node to take a connection
OBJECT_STORE_BYTES = 100_000_000  # of a local cluster: nothing but counts goes through it
# No reports home; and not its warning that it holds its own arguments of workers in memory.
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# A file is there when its upload is whole, and a folder can't be renamed.
OBJECT_STORES = {"s3", "gcs", "abfs"}
# Readers of Parquet skip what begins with "_".
RUN, ASIDE, SUCCESS = "_run.json", "_temporary", "_SUCCESS"
COUNTS = b"annotate"  # the key in a file's metadata
SCRIPTS = Path(__file__).parent


class Partition(NamedTuple):
    """Rows of a Parquet file, and where they go.

    path (str): Of the input, without the file system.
    start, stop (int): The first row and the one after the last.
    name (str): Of the output, within its folder: the input's folders and name, and a number.
    """

    path: str
    start: int
    stop: int
    name: str


class Job(NamedTuple):
    """What all workers have in common.

    source (str): File or folder, as a path or URI that is the same on each machine.
    target (str): Where the files go until all are there.
    atomic (bool): Whether a file is there only when it is whole (object stores).
    """

    pipeline: str
    device: str
    threshold: float | None
    labels: list[str]
    text_field: str
    source: str
    target: str
    atomic: bool


# --- Files ---


def locate(place: str) -> tuple[FileSystem, str]:
    """RETURNS (tuple[FileSystem, str]): Of a path or URI its file system, and the path there.
    RAISES (InputError): If there is no such file system."""
    if "://" not in place:
        return LocalFileSystem(), str(Path(place).resolve())
    try:
        files, path = FileSystem.from_uri(place)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{place} can't be reached: {first_line(error)}") from None
    return files, path.rstrip("/")


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def list_parquet(source: str) -> list[tuple[str, str]]:
    """RETURNS (list[tuple[str, str]]): The path and the name within the folder of the file, or of
    each file in the folder that ends in .parquet, in order; not those with a part that begins
    with "_" or ".", as is the custom.
    RAISES (InputError): If there is none."""
    files, path = locate(source)
    try:
        info = files.get_file_info(path)
        if info.type == FileType.File:
            return [(path, info.base_name)]
        if info.type != FileType.Directory:
            raise InputError(f"{source}: no such file or folder")
        infos = files.get_file_info(FileSelector(path, recursive=True))
    except OSError as error:
        raise InputError(f"{source} can't be read: {first_line(error)}") from None
    names = {info.path: info.path[len(path) :].lstrip("/") for info in infos if info.is_file}
    found = [
        (path, name)
        for path, name in sorted(names.items())
        if name.lower().endswith(".parquet")
        and not any(part.startswith(("_", ".")) for part in name.split("/"))
    ]
    if not found:
        raise InputError(f"{source}: no file in it ends in .parquet")
    return found


def list_partitions(source: str, text_field: str) -> list[Partition]:
    """RETURNS (list[Partition]): All rows of the input, cut; it depends on the input alone.
    RAISES (InputError): If a file isn't Parquet, or not with such columns."""
    files, _ = locate(source)
    with ThreadPoolExecutor() as pool:  # a footer of an object store takes its time
        cuts = pool.map(
            lambda found: cut_file(files, found[0], found[1], text_field), list_parquet(source)
        )
        return [partition for cut in cuts for partition in cut]


def cut_file(files: FileSystem, path: str, name: str, text_field: str) -> list[Partition]:
    """RETURNS (list[Partition]): At least one, which may be of no rows: then there is a file of
    the same columns in the output, too."""
    try:
        with pyarrow.parquet.ParquetFile(path, filesystem=files) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, pyarrow.ArrowException) as error:
        reason = first_line(error)
        raise InputError(f"{path} is no Parquet file, or not all of it: {reason}") from None
    check_column(text_field, schema.names, Path(path))
    check_types(schema, text_field, path)
    text_bytes = sum(
        column.total_uncompressed_size
        for group in map(metadata.row_group, range(metadata.num_row_groups))
        for column in map(group.column, range(group.num_columns))
        if column.path_in_schema == text_field
    )
    rows = metadata.num_rows
    wanted = max(text_bytes / PARTITION_BYTES, rows / PARTITION_ROWS)
    size = max(1, math.ceil(rows / max(1, math.ceil(wanted))))
    stem = name.removesuffix(".parquet")
    return [
        Partition(path, start, min(start + size, rows), f"{stem}-{number:05}.parquet")
        for number, start in enumerate(range(0, max(1, rows), size))
    ]


def check_types(schema: pyarrow.Schema, text_field: str, path: str) -> None:
    """RAISES (InputError): If the text is none, or a column of the output is there already."""
    type_ = schema.field(text_field).type
    inner = type_.value_type if pyarrow.types.is_dictionary(type_) else type_
    known = (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.null())
    if inner not in known:
        raise InputError(f'{path}: the column "{text_field}" is of type {type_}, not string')
    for name in {"mentions", "rejected"} & set(schema.names):
        raise InputError(f'{path} has a column "{name}" already; rename it')


def read_rows(files: FileSystem, partition: Partition) -> pyarrow.Table:
    """RETURNS (pyarrow.Table): The partition's rows, with all columns as they are."""
    with pyarrow.parquet.ParquetFile(partition.path, filesystem=files) as file:
        groups = map(file.metadata.row_group, range(file.num_row_groups))
        ends = list(accumulate(group.num_rows for group in groups))
        first = bisect_right(ends, partition.start)
        last = bisect_left(ends, partition.stop)
        if partition.start == partition.stop:
            return file.schema_arrow.empty_table()
        table = file.read_row_groups(range(first, last + 1))
    before = ends[first - 1] if first else 0
    return table.slice(partition.start - before, partition.stop - partition.start)


def write_rows(job: Job, name: str, table: pyarrow.Table) -> None:
    """Write a file that is whole or not there, over one of the same name: a worker that was
    thought lost may have come to its end."""
    files, folder = locate(job.target)
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    path = f"{folder}/{name}"
    aside = path if job.atomic else f"{folder}/{ASIDE}/{uuid.uuid4()}"
    if not job.atomic:
        for place in (path, aside):
            files.create_dir(place.rpartition("/")[0])
    with files.open_output_stream(aside) as stream:
        stream.write(sink.getvalue())
    if not job.atomic:
        files.move(aside, path)


def read_counts(job: Job, name: str) -> dict[str, Any] | None:
    """RETURNS (dict[str, Any] | None): Of a file of the output, if it is there."""
    files, folder = locate(job.target)
    if not files.get_file_info(f"{folder}/{name}").is_file:
        return None
    metadata = pyarrow.parquet.read_schema(f"{folder}/{name}", filesystem=files).metadata
    counts: dict[str, Any] = json.loads(metadata[COUNTS])
    return counts


# --- A worker ---


class Worker:
    """Annotates partitions, with a pipeline of its own; there is one in each process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        # Loaded with the first partition: of what is raised here, Ray passes on the text alone.
        self.nlp: Language | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Annotate a partition and write it, unless that is done: by a worker that died after,
        or in the run that this one goes on with.

        row (dict[str, Any]): A Partition.
        RETURNS (dict[str, Any]): Its name, rows, words, mentions, rejected rows, the seconds of
            a core (of a GPU, where there is one) that it took, and whether it is new.
        RAISES (InputError): If the pipeline's weights are broken.
        """
        partition = Partition(**row)
        job = self.job
        done = read_counts(job, partition.name)
        if done:
            return done | {"new": False}
        nlp = self.nlp or load(job.pipeline, job.device, job.threshold, job.labels)
        self.nlp = nlp
        clock = time.process_time if job.device == "cpu" else time.perf_counter
        start = clock()
        table = read_rows(locate(job.source)[0], partition)
        with nlp.memory_zone():  # else the vocabulary grows with every new word
            mentions, reasons, words = self.annotate(nlp, table, partition)
        counts = {
            "name": partition.name,
            "rows": len(table),
            "words": words,
            "mentions": sum(len(found) for found in mentions if found is not None),
            "rejected": sum(reason is not None for reason in reasons),
            "seconds": clock() - start,
        }
        table = table.append_column("mentions", pyarrow.array(mentions, pyarrow.list_(MENTION)))
        table = table.append_column("rejected", pyarrow.array(reasons, pyarrow.string()))
        metadata = (table.schema.metadata or {}) | {COUNTS: json.dumps(counts).encode()}
        write_rows(job, partition.name, table.replace_schema_metadata(metadata))
        return counts | {"new": True}

    def annotate(
        self, nlp: Language, table: pyarrow.Table, partition: Partition
    ) -> tuple[list[list[dict[str, Any]] | None], list[str | None], int]:
        """RETURNS (tuple[list, list, int]): For each row its mentions, and why there are none;
        and the words."""
        mentions: list[list[dict[str, Any]] | None] = []
        reasons: list[str | None] = []
        words = 0
        items = [
            check(text, {}, Path(partition.path), number)
            for number, text in enumerate(read_texts(table[self.job.text_field]))
        ]
        for part in cut_parts(items):
            part = [reject_if_longer(item, nlp.max_length) for item in part]
            texts = [item.text for item in part if isinstance(item, Record)]
            try:
                docs = iter(annotate(nlp, texts, self.job.labels))
            except FloatingPointError as error:
                raise InputError(str(error)) from None
            for item in part:
                doc = None if isinstance(item, Reject) else next(docs)
                mentions.append(None if doc is None else list_mentions(doc))
                reasons.append(item.reason if isinstance(item, Reject) else None)
                words += 0 if doc is None else len(doc)
        return mentions, reasons, words


def read_texts(column: pyarrow.ChunkedArray) -> list[str | None]:
    """RETURNS (list[str | None]): With bytes that are no UTF-8 as surrogates, which `check`
    finds: nothing keeps them out of Parquet, and Arrow would give up the whole column."""
    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    texts = column.cast(pyarrow.large_binary()).to_pylist()
    return [None if text is None else text.decode("utf-8", "surrogateescape") for text in texts]


# --- The cluster ---


def check_address(address: str) -> None:
    """RAISES (InputError): If nobody answers there: Ray would wait for many minutes."""
    place = (os.environ.get("RAY_ADDRESS") if address == "auto" else None) or address
    if place in ("auto", "local") or "://" in place:
        return
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"--address {place}: nobody answers ({first_line(error)}); name the head node's "
            "HOST:PORT, or auto on a machine of the cluster"
        ) from None


@contextmanager
def cluster(address: str, workers: int) -> Iterator[None]:
    """Start a cluster on this machine, or join one, and leave it.

    RAISES (InputError): If Ray isn't installed, or there is no such cluster.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise InputError('Ray is missing: pip install "ray[data]"') from None
    own: dict[str, Any] = {
        "num_cpus": workers,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }
    try:
        ray.init(
            address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            # Scripts by file: a working_dir would clash with that of `ray job submit`.
            runtime_env={"py_modules": sorted(map(str, SCRIPTS.glob("*.py")))},
            **(own if address == "local" else {}),
        )
    except ConnectionError as error:
        raise InputError(f"--address {address}: {first_line(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def annotate_partitions(
    job: Job, partitions: Sequence[Partition], workers: int, gpus: float, address: str
) -> Iterator[dict[str, Any]]:
    """YIELDS (dict[str, Any]): Each partition's counts, as they come.
    RAISES (InputError): As the worker, or if the cluster gives up."""
    with cluster(address, workers):
        import ray.data
        from ray.data.exceptions import ExecutionTimeoutError

        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised, too
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.raise_original_map_exception = True
        rows = ray.data.from_items(
            [partition._asdict() for partition in partitions],
            override_num_blocks=min(len(partitions), MAX_BLOCKS),  # a block is a task
        )
        worker: Any = Worker  # Ray's types know functions only
        counts = rows.map(
            worker,
            fn_constructor_args=(job,),
            # One at a time: a second would wait behind the first while other workers start.
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=gpus or None,
        )
        try:
            # A worker that dies is started anew and its partition done again, without end; Ray
            # gives up when half an hour brings no partition.
            yield from counts.iter_rows()
        except (ray.exceptions.RayError, ExecutionTimeoutError) as error:
            raise InputError(explain(error)) from None


def explain(error: BaseException) -> str:
    """RETURNS (str): The worker's own InputError, if it is one; else what was at the root of it."""
    root = error
    while (deeper := getattr(root, "cause", None) or root.__cause__) is not None:
        root = deeper
    if isinstance(root, InputError):
        return first_line(root)  # Ray adds lines of its own
    return f"the cluster gave up, go on with --resume ({type(root).__name__}: {first_line(root)})"


# --- The output ---


def target_of(output: str) -> tuple[str, bool]:
    """RETURNS (tuple[str, bool]): Where files go until all are there, OUTPUT.partial or on an
    object store OUTPUT itself; and whether files there are whole when they are seen.
    RAISES (InputError): If there is no such file system."""
    files, _ = locate(output)
    if files.type_name in OBJECT_STORES:
        return output, True
    place = output.rstrip("/") if "://" in output else str(Path(output).resolve())
    return f"{place}.partial", False


def describe_run(job: Job, partitions: Sequence[Partition]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): What a resumed run must have in common with the first."""
    return {
        "job": list(job),
        "pipeline": read_meta(job.pipeline),
        "partitions": [list(partition) for partition in partitions],
    }


def read_meta(pipeline: str) -> str:
    """RETURNS (str): The meta.json of a pipeline in a folder; training anew changes it."""
    path = Path(pipeline) / "meta.json"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def prepare(output: str, run: dict[str, Any], resume: bool) -> None:
    """Make the folder that files go to; a resumed run finds the files of the first there.

    run (dict[str, Any]): What a resumed run must have in common with the first.
    RAISES (InputError): If OUTPUT is there already, or what is begun is another run.
    """
    files, path = locate(output)
    target, atomic = target_of(output)
    folder = locate(target)[1]
    settings = f"{folder}/{RUN}"
    goes_on = resume and files.get_file_info(settings).is_file
    if not is_empty(files, path) and not (atomic and goes_on):
        raise InputError(f"{output} is there already, and no empty folder; name another")
    if goes_on:
        with files.open_input_stream(settings) as stream:
            if json.loads(stream.read()) != run:
                raise InputError(
                    f"{target} is of another pipeline, other files or other options; leave "
                    "--resume out to start anew"
                )
        return
    if not is_empty(files, folder):
        files.delete_dir(folder)
    files.create_dir(folder)
    write_text(files, settings, json.dumps(run))


def write_text(files: FileSystem, path: str, text: str) -> None:
    with files.open_output_stream(path) as stream:
        stream.write(text.encode())


def is_empty(files: FileSystem, path: str) -> bool:
    """RETURNS (bool): Whether it isn't there, or is a folder with nothing in it."""
    info = files.get_file_info(path)
    if info.type == FileType.Directory:
        return not files.get_file_info(FileSelector(path))
    return bool(info.type == FileType.NotFound)


def finish(output: str) -> None:
    """Say that the output is whole: by its name, or on an object store by _SUCCESS."""
    files, path = locate(output)
    target, atomic = target_of(output)
    folder = locate(target)[1]
    if atomic:
        write_text(files, f"{folder}/{SUCCESS}", "")
        files.delete_file(f"{folder}/{RUN}")
        return
    files.delete_file(f"{folder}/{RUN}")
    if files.get_file_info(f"{folder}/{ASIDE}").type == FileType.Directory:
        files.delete_dir(f"{folder}/{ASIDE}")  # with what dead workers left
    if files.get_file_info(path).type == FileType.Directory:
        files.delete_dir(path)  # it is empty
    files.move(folder, path)


def check_rows(partitions: Sequence[Partition], names: Counter[str], rows: int) -> None:
    """RAISES (RuntimeError): If not each partition was done, once, and with all its rows."""
    expected = Counter(partition.name for partition in partitions)
    expected_rows = sum(partition.stop - partition.start for partition in partitions)
    if names != expected or rows != expected_rows:
        raise RuntimeError(f"{rows} rows of {expected_rows}, partitions amiss: {names - expected}")


def main(
    pipeline: Annotated[
        str, typer.Argument(help="Installed package, or folder; the same on each machine")
    ],
    source: Annotated[str, typer.Argument(metavar="INPUT", help="Parquet file, folder, or URI")],
    output: Annotated[str, typer.Argument(help="Folder or URI; new or empty")],
    text_field: Annotated[str, typer.Option(help="Column of the text")] = "text",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least score of a mention")
    ] = None,
    labels: Annotated[str, typer.Option(help="Types to keep, by commas; else all")] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes, with a core each")] = 1,
    gpus: Annotated[float, typer.Option(min=0, max=1, help="GPUs, or a part of one, each")] = 0,
    address: Annotated[
        str, typer.Option(help="local starts a cluster here; auto, or HOST:PORT, joins one")
    ] = "local",
    resume: Annotated[bool, typer.Option(help="Go on with a run that was broken off")] = False,
) -> None:
    """Find the mentions of Parquet of any size, on Ray: predict for a cluster. To each row come
    `mentions` and `rejected`, why there are none; with any rejected the exit code is 3. OUTPUT is
    whole or not there; on an object store it is whole when it has _SUCCESS."""
    with clear_errors():
        check_address(address)
        partitions = list_partitions(source, text_field)
        pipeline = str(Path(pipeline).resolve()) if Path(pipeline).exists() else pipeline
        source = source if "://" in source else str(Path(source).resolve())
        types = [label for label in labels.split(",") if label]
        load(pipeline, "cpu", threshold, types)  # what is wrong with it shows sooner here
        if gpus and address == "local" and not torch.cuda.is_available():
            raise InputError(f"--gpus {gpus:g}: torch finds none on this machine")
        job = Job(
            pipeline,
            "0" if gpus else "cpu",  # a worker sees its own GPUs only
            threshold,
            types,
            text_field,
            source,
            *target_of(output),
        )
        try:
            prepare(output, describe_run(job, partitions), resume)
        except OSError as error:
            raise InputError(f"{output} can't be written: {first_line(error)}") from None
        totals: Counter[str] = Counter()
        names: Counter[str] = Counter()
        new: Counter[str] = Counter()
        start = time.perf_counter()
        try:
            with tqdm(unit=" words", unit_scale=True, disable=None) as progress:
                for counts in annotate_partitions(job, partitions, workers, gpus, address):
                    names[counts.pop("name")] += 1
                    totals.update(counts)
                    new.update({key: counts[key] for key in ("words", "seconds") if counts["new"]})
                    progress.update(counts["words"])
        except KeyboardInterrupt:
            print(f"Interrupted. {job.target} is kept: go on with --resume", file=sys.stderr)
            sys.exit(130)
        seconds = time.perf_counter() - start
        unit = "GPU" if gpus else "core"
        check_rows(partitions, names, totals["rows"])
        finish(output)
        msg.good(
            f"{output}: {totals['rows']:,} rows, {totals['words']:,} words, "
            f"{totals['mentions']:,} mentions, {new['words'] / seconds:,.0f} words/s, "
            f"{new['words'] / max(new['seconds'], 1e-9):,.0f} a second of a {unit}"
        )
        if totals["rejected"]:
            msg.warn(f"{totals['rejected']:,} rows rejected, with reasons in `rejected`")
            sys.exit(SOME_REJECTED)


if __name__ == "__main__":
    typer.run(main)
