"""Prepare, resume and finish the output folder."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyarrow.fs import FileSelector, FileSystem, FileType

from conll_ner.common.console import InputError
from conll_ner.prediction.cluster.partitions import TEMPORARY_FOLDER, Job, Partition, locate

# There, a file appears only when its upload is complete, and folders can't be renamed.
OBJECT_STORES = {"s3", "gcs", "abfs"}
RUN_FILE, SUCCESS_FILE = "_run.json", "_SUCCESS"  # Parquet readers skip names that start with "_"


def resolve_target(output: str) -> tuple[str, bool]:
    """RETURNS (tuple[str, bool]): The folder for unfinished output, which is OUTPUT.partial, or
    OUTPUT itself on an object store; and whether files there appear only when complete.
    RAISES (InputError): If there is no such file system."""
    files, _ = locate(output)
    if files.type_name in OBJECT_STORES:
        return output, True
    folder = output.rstrip("/") if "://" in output else str(Path(output).resolve())
    return f"{folder}.partial", False


def fingerprint_job(job: Job, partitions: Sequence[Partition]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Everything that must not change before a run is resumed."""
    return {
        "job": list(job),
        "pipeline": read_meta(job.pipeline),
        "partitions": [list(partition) for partition in partitions],
    }


def read_meta(pipeline: str) -> str:
    """RETURNS (str): The meta.json of a pipeline folder, which changes with every training run;
    empty for an installed package."""
    path = Path(pipeline) / "meta.json"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def prepare_output(output: str, run: dict[str, Any], resume: bool) -> None:
    """Create the folder for unfinished output. A resumed run keeps the files in it.

    run (dict[str, Any]): The fingerprint of the run.
    RAISES (InputError): If OUTPUT exists, or the unfinished output belongs to another run.
    """
    files, path = locate(output)
    target, atomic = resolve_target(output)
    folder = locate(target)[1]
    settings = f"{folder}/{RUN_FILE}"
    resumes = resume and files.get_file_info(settings).is_file
    if not is_empty(files, path) and not (atomic and resumes):
        raise InputError(f"{output} exists and isn't an empty folder; name another")
    if resumes:
        with files.open_input_stream(settings) as stream:
            if json.loads(stream.read()) != run:
                raise InputError(
                    f"{target} was made with another pipeline, other files or other options; omit "
                    "--resume to start over"
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
    """RETURNS (bool): Whether the path is missing or an empty folder."""
    info = files.get_file_info(path)
    if info.type == FileType.Directory:
        return not files.get_file_info(FileSelector(path))
    return bool(info.type == FileType.NotFound)


def finish_output(output: str) -> None:
    """Mark the output as complete: rename its folder, or write _SUCCESS on an object store."""
    files, path = locate(output)
    target, atomic = resolve_target(output)
    folder = locate(target)[1]
    if atomic:
        write_text(files, f"{folder}/{SUCCESS_FILE}", "")
        files.delete_file(f"{folder}/{RUN_FILE}")
        return
    files.delete_file(f"{folder}/{RUN_FILE}")
    if files.get_file_info(f"{folder}/{TEMPORARY_FOLDER}").type == FileType.Directory:
        files.delete_dir(f"{folder}/{TEMPORARY_FOLDER}")  # contains files of workers that died
    if files.get_file_info(path).type == FileType.Directory:
        files.delete_dir(path)  # an empty folder: prepare_output checks it
    files.move(folder, path)


def check_rows(partitions: Sequence[Partition], names: Counter[str], rows: int) -> None:
    """Check that every partition was annotated exactly once with all its rows.

    names (Counter[str]): How often each partition was reported.
    rows (int): The number of rows that were reported.
    RAISES (RuntimeError): If it wasn't.
    """
    expected = Counter(partition.name for partition in partitions)
    expected_rows = sum(partition.stop - partition.start for partition in partitions)
    if names != expected or rows != expected_rows:
        raise RuntimeError(
            f"{rows} of {expected_rows} rows were annotated; missing partitions: "
            f"{sorted(expected - names)}; repeated or unknown: {sorted(names - expected)}"
        )
