"""Split Parquet files into partitions; read and write partitions."""

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

from conll_ner.common.console import InputError, first_line
from conll_ner.prediction.records import check_column

# Maximum size of a partition, which is a worker's unit of work (about 40 seconds on a core), one
# output file, and the most that is lost with a worker. Rows are limited too, because repetitive
# text can have far fewer bytes in Parquet than characters.
PARTITION_BYTES = 1_000_000
PARTITION_ROWS = 10_000
TEMPORARY_FOLDER = "_temporary"  # Parquet readers skip names that start with "_"
COUNTS_KEY = b"annotate"  # key of the counts in a file's metadata


class Partition(NamedTuple):
    """A range of rows of a Parquet file, and the name of its output file.

    path (str): The input file, without the file system.
    start, stop (int): The first row, and the row after the last.
    name (str): The output file, relative to its folder: the input's relative path and a number.
    """

    path: str
    start: int
    stop: int
    name: str


class Job(NamedTuple):
    """The settings that all workers share.

    source (str): Input file or folder, a path or URI that is valid on every machine.
    target (str): The folder for unfinished output.
    atomic (bool): Whether files in it appear only when complete, as on object stores.
    """

    pipeline: str
    device: str
    threshold: float | None
    labels: list[str]
    text_field: str
    source: str
    target: str
    atomic: bool


def locate(uri: str) -> tuple[FileSystem, str]:
    """RETURNS (tuple[FileSystem, str]): The file system of a path or URI, and the path in it.
    RAISES (InputError): If there is no such file system."""
    if "://" not in uri:
        return LocalFileSystem(), str(Path(uri).resolve())
    try:
        files, path = FileSystem.from_uri(uri)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{uri} can't be reached: {first_line(error)}") from None
    return files, path.rstrip("/")


def list_parquet(source: str) -> list[tuple[str, str]]:
    """RETURNS (list[tuple[str, str]]): Path and relative name of the file, or of all .parquet files
    in the folder, sorted. By convention, names that start with "_" or "." are skipped.
    RAISES (InputError): If there is no file."""
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
    """RETURNS (list[Partition]): The partitions of the input. They depend only on the input.
    RAISES (InputError): If a file isn't Parquet or has the wrong columns."""
    files, _ = locate(source)
    with ThreadPoolExecutor() as pool:  # reading footers from an object store is slow
        cuts = pool.map(
            lambda found: cut_file(files, found[0], found[1], text_field), list_parquet(source)
        )
        return [partition for cut in cuts for partition in cut]


def cut_file(files: FileSystem, path: str, name: str, text_field: str) -> list[Partition]:
    """RETURNS (list[Partition]): The partitions of a file. A file without rows has an empty one, so
    that the output has a file with its columns."""
    try:
        with pyarrow.parquet.ParquetFile(path, filesystem=files) as file:
            schema, metadata = file.schema_arrow, file.metadata
            names = schema.names
            text_bytes = sum(
                column.total_uncompressed_size
                for group in map(metadata.row_group, range(metadata.num_row_groups))
                for column in map(group.column, range(group.num_columns))
                if column.path_in_schema == text_field
            )
    except (OSError, ValueError, pyarrow.ArrowException) as error:  # ValueError: names aren't UTF-8
        reason = first_line(error)
        raise InputError(f"{path} is not a complete Parquet file: {reason}") from None
    check_column(text_field, names, Path(path))
    check_types(schema, text_field, path)
    rows = metadata.num_rows
    n_partitions = max(text_bytes / PARTITION_BYTES, rows / PARTITION_ROWS)
    size = max(1, math.ceil(rows / max(1, math.ceil(n_partitions))))
    stem = name.removesuffix(".parquet")
    return [
        Partition(path, start, min(start + size, rows), f"{stem}-{number:05}.parquet")
        for number, start in enumerate(range(0, max(1, rows), size))
    ]


def check_types(schema: pyarrow.Schema, text_field: str, path: str) -> None:
    """RAISES (InputError): If the text column is not of a string type, or the input already has a
    column that the output adds."""
    type_ = schema.field(text_field).type
    inner = type_.value_type if pyarrow.types.is_dictionary(type_) else type_
    known = (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.null())
    if inner not in known:
        raise InputError(f'{path}: the column "{text_field}" is of type {type_}, not string')
    for name in {"mentions", "rejected"} & set(schema.names):
        raise InputError(f'{path} already has a column "{name}"; rename it')


def read_rows(files: FileSystem, partition: Partition) -> pyarrow.Table:
    """RETURNS (pyarrow.Table): The partition's rows with all columns.
    RAISES (InputError): If the file is damaged there."""
    try:
        with pyarrow.parquet.ParquetFile(partition.path, filesystem=files) as file:
            groups = map(file.metadata.row_group, range(file.num_row_groups))
            ends = list(accumulate(group.num_rows for group in groups))
            first = bisect_right(ends, partition.start)
            last = bisect_left(ends, partition.stop)
            if partition.start == partition.stop:
                return file.schema_arrow.empty_table()
            table = file.read_row_groups(range(first, last + 1))
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(
            f"{partition.path}: rows {partition.start + 1:,} to {partition.stop:,} can't be read "
            f"({first_line(error)}); the finished files are kept: continue with --resume"
        ) from None
    before = ends[first - 1] if first else 0
    return table.slice(partition.start - before, partition.stop - partition.start)


def write_rows(job: Job, name: str, table: pyarrow.Table) -> None:
    """Write a file atomically. An existing file is replaced: a worker that was considered lost may
    have finished it."""
    files, folder = locate(job.target)
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    path = f"{folder}/{name}"
    temporary = path if job.atomic else f"{folder}/{TEMPORARY_FOLDER}/{uuid.uuid4()}"
    if not job.atomic:
        for file in (path, temporary):
            files.create_dir(file.rpartition("/")[0])
    with files.open_output_stream(temporary) as stream:
        stream.write(sink.getvalue())
    if not job.atomic:
        files.move(temporary, path)


def read_counts(job: Job, name: str) -> dict[str, Any] | None:
    """RETURNS (dict[str, Any] | None): The counts in an output file's metadata, if it exists."""
    files, folder = locate(job.target)
    if not files.get_file_info(f"{folder}/{name}").is_file:
        return None
    metadata = pyarrow.parquet.read_schema(f"{folder}/{name}", filesystem=files).metadata
    counts: dict[str, Any] = json.loads(metadata[COUNTS_KEY])
    return counts
