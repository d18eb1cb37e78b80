"""Annotating Parquet by partition: every row once, on a cluster and in one process."""

import os
import signal
import subprocess
import sys
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from conll_ner.prediction.cluster import driver, partitions
from conll_ner.prediction.parquet_tables import MENTION
from tests.annotate_helpers import (
    assert_same,
    descendants,
    is_busy_worker,
    predicted,
    read,
    run,
    write,
)


def command(pipeline: Path, source: Path, output: Path) -> list[str]:
    ner = [sys.executable, "-m", "spacy", "ner", "annotate"]
    return [*ner, str(pipeline), str(source), str(output), "--workers", "2"]


# --- On a local cluster ---


@pytest.mark.slow
def test_annotate_with_two_workers_equals_predict(
    pipeline: Path, source: Path, tmp_path: Path, sentences: list[str]
) -> None:
    pytest.importorskip("ray")
    folder, half = tmp_path / "in", len(sentences) // 2
    write(folder / "a.parquet", sentences[:half])
    write(folder / "b.parquet", [*sentences[half:], None], half)
    output = tmp_path / "out"
    result = subprocess.run(
        command(pipeline, folder, output), check=False, capture_output=True, text=True
    )
    assert result.returncode == 3, result.stderr
    assert f"{len(sentences) + 1} rows" in " ".join(result.stdout.split())
    assert "Traceback" not in result.stderr
    *rows, rejected = read(output)
    assert_same(rows, predicted(pipeline, source))
    assert rejected["rejected"] == "the text is null, not a string"
    assert sorted(path.name for path in output.iterdir()) == ["a-00000.parquet", "b-00000.parquet"]
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.slow
def test_annotate_with_a_killed_worker_loses_no_row(
    pipeline: Path, tmp_path: Path, sentences: list[str]
) -> None:
    """SIGKILL a busy worker: its partition is repeated, and every row is written once."""
    pytest.importorskip("ray")
    texts = sentences * 10
    for number in range(10):
        write(tmp_path / "in" / f"{number}.parquet", texts, number * len(texts))
    output, partial = tmp_path / "out", tmp_path / "out.partial"
    process = subprocess.Popen(command(pipeline, tmp_path / "in", output))
    try:
        while len(list(partial.glob("*.parquet"))) < 2:
            assert process.poll() is None, "finished before a worker could be killed"
            time.sleep(0.05)
        victim = next(pid for pid in descendants(process.pid) if is_busy_worker(pid))
        os.kill(victim, signal.SIGKILL)
        done = len(list(partial.glob("*.parquet")))
        assert process.wait(timeout=300) == 0
    finally:
        process.kill()
    assert 2 <= done < 8
    assert len(list(output.iterdir())) == 10
    rows = read(output)
    assert [row["id"] for row in rows] == list(range(10 * len(texts)))
    assert [row["text"] for row in rows] == texts * 10
    assert not any(row["rejected"] for row in rows)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, in this process
def test_annotate_gives_a_slim_pipeline_one_thread_per_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray tells a worker how many CPUs it has."""
    pytest.importorskip("ray")

    class Threads:  # in a function, so that Ray takes it along
        def __init__(self, job: Any) -> None:
            pass

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            from token_ner.onnx_model.onnx_shim import count_threads

            return {"name": row["name"], "threads": count_threads(None)}

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(driver, "Worker", Threads)
    job: Any = None
    rows = [partitions.Partition("in.parquet", 0, 1, name) for name in "ab"]
    found = list(driver.annotate_partitions(job, rows, workers=2, gpus=0, address="local"))
    assert sorted((row["name"], row["threads"]) for row in found) == [("a", 1), ("b", 1)]


@pytest.mark.slow
@pytest.mark.alone  # another test's cluster would be found
def test_annotate_reports_a_missing_cluster_in_one_line(pipeline: Path, source: Path) -> None:
    pytest.importorskip("ray")
    result = subprocess.run(
        [*command(pipeline, source, source.with_name("out")), "--address", "auto"],
        check=False,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: --address auto: Could not find any running Ray")


# --- Rows ---


@pytest.mark.usefixtures("no_cluster")
def test_annotate_keeps_rows_and_columns(pipeline: Path, source: Path) -> None:
    output = source.with_name("out")
    result = run(pipeline, source, output)
    assert result.exit_code == 0, result.output
    assert_same(read(output), predicted(pipeline, source))
    first, *others = sorted(output.iterdir())
    assert others
    schema = pyarrow.parquet.read_schema(first)
    assert schema.names == ["id", "text", "mentions", "rejected"]
    assert schema.types == [
        pyarrow.int64(),
        pyarrow.string(),
        pyarrow.list_(MENTION),
        pyarrow.string(),
    ]
    assert [row["rejected"] for row in read(output)] == [None] * len(read(output))


@pytest.mark.usefixtures("no_cluster")
def test_annotate_keeps_rejected_rows(pipeline: Path, tmp_path: Path) -> None:
    """Rejected rows stay in their place, with the reason."""
    texts = [b"Ada", None, b"half \xff", b"x" * 1_000_001, b"", b"Ada"]
    column = pyarrow.Array.from_buffers(
        pyarrow.string(), len(texts), pyarrow.array(texts, pyarrow.binary()).buffers()
    )
    source, output = tmp_path / "in.parquet", tmp_path / "out"
    table = pyarrow.table({"body": column, "n": range(len(texts))})
    pyarrow.parquet.write_table(table, source)
    result = run(pipeline, source, output, "--text-field", "body")
    assert result.exit_code == 3
    assert "2 rows rejected" in result.output
    found = pyarrow.parquet.read_table(output, columns=["n", "mentions", "rejected"]).to_pylist()
    assert [row["n"] for row in found] == list(range(len(texts)))
    assert [row["mentions"] is None for row in found] == [False, True, True, False, False, False]
    reasons = [row["rejected"] for row in found]
    assert reasons[1:3] == ["the text is null, not a string", "not valid UTF-8"]
    assert [reasons[i] for i in (0, 3, 4, 5)] == [None] * 4
    kept = pyarrow.parquet.read_table(output)["body"].cast(pyarrow.binary()).to_pylist()
    assert kept == texts


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize(
    "type_",
    [pyarrow.large_string(), pyarrow.string_view(), pyarrow.dictionary("int32", "string")],
)
def test_annotate_reads_all_string_types(
    pipeline: Path, source: Path, sentences: list[str], type_: pyarrow.DataType
) -> None:
    table = pyarrow.parquet.read_table(source)
    texts = pyarrow.array(sentences).cast(type_)
    pyarrow.parquet.write_table(table.set_column(1, "text", texts), source)
    output = source.with_name("out")
    assert run(pipeline, source, output).exit_code == 0
    assert [row["text"] for row in read(output)] == sentences
    assert any(row["mentions"] for row in read(output))


@pytest.mark.usefixtures("no_cluster")
def test_annotate_threshold_and_labels(pipeline: Path, source: Path) -> None:
    everything = [m for row in predicted(pipeline, source) for m in row["mentions"]]
    middle = sorted(m["score"] for m in everything)[len(everything) // 2]
    output = source.with_name("out")
    run(pipeline, source, output, "--threshold", middle, "--labels", "PER,LOC")
    kept = [m for row in read(output) for m in row["mentions"]]
    assert 0 < len(kept) < len(everything) / 2
    assert {m["label"] for m in kept} <= {"PER", "LOC"}
    assert min(m["score"] for m in kept) >= middle


@pytest.mark.usefixtures("no_cluster")
def test_annotate_keeps_folders(pipeline: Path, tmp_path: Path, sentences: list[str]) -> None:
    """Hive partitions too. Names that start with _ or . are not data."""
    folder, output = tmp_path / "in", tmp_path / "out"
    write(folder / "day=1" / "a.parquet", sentences[:60])
    write(folder / "day=2" / "a.parquet", sentences[60:], 60)
    write(folder / "none.parquet", [])
    write(folder / "_old" / "b.parquet", ["no"])
    (folder / "_SUCCESS").touch()
    assert run(pipeline, folder, output).exit_code == 0
    names = [str(path.relative_to(output)) for path in sorted(output.rglob("*.parquet"))]
    assert names == [
        "day=1/a-00000.parquet",
        "day=1/a-00001.parquet",
        "day=2/a-00000.parquet",
        "day=2/a-00001.parquet",
        "none-00000.parquet",
    ]
    rows = pyarrow.parquet.read_table(output).to_pylist()
    assert sorted(row["id"] for row in rows) == list(range(len(sentences)))
    assert {row["day"] for row in rows if row["id"] < 60} == {1}


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(1, 40), st.integers(1, 200))
def test_partitions_contain_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], rows: int, size: int
) -> None:
    """For any row groups, every row is in one partition, in order."""
    path = tmp_path_factory.mktemp("cut") / "a.parquet"
    table = pyarrow.table({"text": [str(i) for i in range(sum(groups))]})
    with pyarrow.parquet.ParquetWriter(path, table.schema) as writer:
        for end, n in zip(accumulate(groups), groups, strict=True):
            writer.write_table(table.slice(end - n, n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitions, "PARTITION_ROWS", rows)
        patch.setattr(partitions, "PARTITION_BYTES", size)
        found = partitions.list_partitions(str(path), "text")
    parts = [partitions.read_rows(LocalFileSystem(), partition) for partition in found]
    assert pyarrow.concat_tables(parts).to_pylist() == table.to_pylist()
    assert len({partition.name for partition in found}) == len(found) >= 1
    assert all(len(part) <= rows for part in parts)
