"""Functions that the test files of annotate share."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import typer
from typer.testing import CliRunner, Result

from conll_ner.prediction import annotate, predict
from conll_ner.prediction.cluster.partitions import Job, Partition
from conll_ner.prediction.cluster.worker import Worker

app = typer.Typer()
app.command()(annotate.main)
predict_app = typer.Typer()
predict_app.command()(predict.main)


def write(path: Path, texts: Sequence[str | None], first: int = 0, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = range(first, first + len(texts))
    table = pyarrow.table({"id": ids, "text": pyarrow.array(texts, pyarrow.string())})
    pyarrow.parquet.write_table(table, path, **options)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """All rows of all files, sorted by file name."""
    files = sorted(path.rglob("*.parquet"))
    return [row for file in files for row in pyarrow.parquet.ParquetFile(file).read().to_pylist()]


def predicted(pipeline: Path, source: Path) -> list[dict[str, Any]]:
    output = source.with_name("predicted.parquet")
    arguments = [str(pipeline), str(source), "-o", str(output), "--device", "cpu"]
    assert CliRunner().invoke(predict_app, arguments).exit_code == 0
    return read_file(output)


def read_file(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def assert_same(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal rows in any order, with equal mentions; scores may differ by rounding."""
    rows = sorted(rows, key=lambda row: row["id"])
    assert [(row["id"], row["text"]) for row in rows] == [(r["id"], r["text"]) for r in expected]
    same = 0
    for row, other in zip(rows, expected, strict=True):
        found, wanted = row["mentions"], other["mentions"]
        same += (spans := spans_of(found)) == spans_of(wanted)
        if spans == spans_of(wanted):
            scores = [mention["score"] for mention in wanted]
            assert [mention["score"] for mention in found] == pytest.approx(scores, abs=1e-3)
    assert same >= 0.98 * len(rows)  # with random weights, labels can have equal scores


def spans_of(mentions: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(m["text"], m["label"], m["start"], m["end"]) for m in mentions]


def in_this_process(job: Job, partitions: Sequence[Partition], *_: Any) -> Iterator[dict[str, Any]]:
    worker = Worker(job)
    return (worker(partition._asdict()) for partition in partitions)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [*map(str, args)])


def descendants(pid: int) -> Iterator[int]:
    """YIELDS (int): The process ids of a process's children, theirs, and so on."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            text = children.read_text()
        except OSError:  # it has ended
            continue
        for child in map(int, text.split()):
            yield child
            yield from descendants(child)


def is_busy_worker(pid: int) -> bool:
    """RETURNS (bool): Whether a process is a worker that annotates a partition."""
    try:
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return False
    return name.startswith(b"ray::MapWorker") and b"submit" in name
