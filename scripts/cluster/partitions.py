"""Parquet files in partitions: list, read and write them."""

import json
import math
import uuid
from bisect import bisect_left, bisect_right
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem

from common.console import InputError
from texts.records import check_column

# What a worker does at once, a file of the output, and what a lost worker loses at most: about 40
# seconds on a core. Cut by the text's bytes, unless it compresses so well that they mislead.
PARTITION_BYTES = 1_000_000
PARTITION_ROWS = 10_000
# Readers of Parquet skip what begins with "_".
RUN, TEMPORARY_FOLDER, SUCCESS = "_run.json", "_temporary", "_SUCCESS"
COUNTS_KEY = b"annotate"  # the key in a file's metadata


class Partition(NamedTuple):
    """Rows of a Parquet file, and the name of their output file.

    path (str): Of the input, without the file system.
    start, stop (int): The first row and the one after the last.
    name (str): Of the output, within its folder: the input's folders and name, and a number.
    """

    path: str
    start: int
    stop: int
    name: str


class Job(NamedTuple):
    """The settings that all workers share.

    source (str): File or folder, as a path or URI that is the same on every machine.
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


def locate(place: str) -> tuple[FileSystem, str]:
    """RETURNS (tuple[FileSystem, str]): The file system of a path or URI, and the path in it.
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
    """RETURNS (list[tuple[str, str]]): Path and relative name of the file, or of every .parquet
    file in the folder, in order. By convention, names that start with "_" or "." are skipped.
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
        raise InputError(f"{source} contains no file that ends in .parquet")
    return found


def list_partitions(source: str, text_field: str) -> list[Partition]:
    """RETURNS (list[Partition]): The partitions of the input; they depend on the input only.
    RAISES (InputError): If a file isn't Parquet or has the wrong columns."""
    files, _ = locate(source)
    with ThreadPoolExecutor() as pool:  # reading footers from an object store is slow
        cuts = pool.map(
            lambda found: cut_file(files, found[0], found[1], text_field), list_parquet(source)
        )
        return [partition for cut in cuts for partition in cut]


def cut_file(files: FileSystem, path: str, name: str, text_field: str) -> list[Partition]:
    """RETURNS (list[Partition]): At least one, possibly without rows, so that the output has a
    file with the same columns."""
    try:
        with pyarrow.parquet.ParquetFile(path, filesystem=files) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, pyarrow.ArrowException) as error:
        reason = first_line(error)
        raise InputError(f"{path} is not a complete Parquet file: {reason}") from None
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
    """RAISES (InputError): If the column isn't text, or a column of the output exists."""
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
    """Write a file atomically. It may replace one of the same name: a worker that was considered
    lost may have finished."""
    files, folder = locate(job.target)
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    path = f"{folder}/{name}"
    temporary = path if job.atomic else f"{folder}/{TEMPORARY_FOLDER}/{uuid.uuid4()}"
    if not job.atomic:
        for place in (path, temporary):
            files.create_dir(place.rpartition("/")[0])
    with files.open_output_stream(temporary) as stream:
        stream.write(sink.getvalue())
    if not job.atomic:
        files.move(temporary, path)


def read_counts(job: Job, name: str) -> dict[str, Any] | None:
    """RETURNS (dict[str, Any] | None): The counts in a file of the output, if it exists."""
    files, folder = locate(job.target)
    if not files.get_file_info(f"{folder}/{name}").is_file:
        return None
    metadata = pyarrow.parquet.read_schema(f"{folder}/{name}", filesystem=files).metadata
    counts: dict[str, Any] = json.loads(metadata[COUNTS_KEY])
    return counts
