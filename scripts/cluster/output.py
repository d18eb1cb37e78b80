"""The output folder: prepared, resumed and finished."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyarrow.fs import FileSelector, FileSystem, FileType

from cluster.partitions import Job, Partition, locate
from common.console import InputError

# A file is there when its upload is whole, and a folder can't be renamed.
OBJECT_STORES = {"s3", "gcs", "abfs"}
# Readers of Parquet skip what begins with "_".
RUN_FILE, ASIDE, SUCCESS_FILE = "_run.json", "_temporary", "_SUCCESS"


def target_of(output: str) -> tuple[str, bool]:
    """RETURNS (tuple[str, bool]): The folder for unfinished output, OUTPUT.partial or on an object
    store OUTPUT itself; and whether files there appear only when they are complete.
    RAISES (InputError): If there is no such file system."""
    files, _ = locate(output)
    if files.type_name in OBJECT_STORES:
        return output, True
    place = output.rstrip("/") if "://" in output else str(Path(output).resolve())
    return f"{place}.partial", False


def identify_run(job: Job, partitions: Sequence[Partition]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): What must be the same in a resumed run."""
    return {
        "job": list(job),
        "pipeline": read_meta(job.pipeline),
        "partitions": [list(partition) for partition in partitions],
    }


def read_meta(pipeline: str) -> str:
    """RETURNS (str): The meta.json of a pipeline in a folder; it changes with every training."""
    path = Path(pipeline) / "meta.json"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def prepare_output(output: str, run: dict[str, Any], resume: bool) -> None:
    """Create the folder for unfinished output; a resumed run keeps its files.

    run (dict[str, Any]): What must be the same in a resumed run.
    RAISES (InputError): If OUTPUT exists, or the unfinished output belongs to another run.
    """
    files, path = locate(output)
    target, atomic = target_of(output)
    folder = locate(target)[1]
    settings = f"{folder}/{RUN_FILE}"
    goes_on = resume and files.get_file_info(settings).is_file
    if not is_empty(files, path) and not (atomic and goes_on):
        raise InputError(f"{output} exists and isn't an empty folder; name another")
    if goes_on:
        with files.open_input_stream(settings) as stream:
            if json.loads(stream.read()) != run:
                raise InputError(
                    f"{target} belongs to another pipeline, other files or other options; omit "
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
    """Mark the output as complete: by its name, or on an object store by _SUCCESS."""
    files, path = locate(output)
    target, atomic = target_of(output)
    folder = locate(target)[1]
    if atomic:
        write_text(files, f"{folder}/{SUCCESS_FILE}", "")
        files.delete_file(f"{folder}/{RUN_FILE}")
        return
    files.delete_file(f"{folder}/{RUN_FILE}")
    if files.get_file_info(f"{folder}/{ASIDE}").type == FileType.Directory:
        files.delete_dir(f"{folder}/{ASIDE}")  # files of workers that died
    if files.get_file_info(path).type == FileType.Directory:
        files.delete_dir(path)  # it is empty
    files.move(folder, path)


def check_rows(partitions: Sequence[Partition], names: Counter[str], rows: int) -> None:
    """RAISES (RuntimeError): Unless every partition was done exactly once with all its rows."""
    expected = Counter(partition.name for partition in partitions)
    expected_rows = sum(partition.stop - partition.start for partition in partitions)
    if names != expected or rows != expected_rows:
        raise RuntimeError(f"{rows} rows of {expected_rows}, wrong partitions: {names - expected}")
