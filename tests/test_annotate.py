"""Annotating Parquet by partition: every row once, on a cluster and in one process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import spacy
import typer
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem
from typer.testing import CliRunner, Result

import annotate
import predict
from cluster import driver, partitions
from cluster import output as cluster_output
from cluster.partitions import Job, Partition
from cluster.worker import Worker
from common.console import InputError
from tests.conftest import ROOT
from texts.outputs import MENTION

app = typer.Typer()
app.command()(annotate.main)
predict_app = typer.Typer()
predict_app.command()(predict.main)
SCRIPT = str(ROOT / "scripts" / "annotate.py")


@pytest.fixture
def source(tmp_path: Path, sentences: list[str]) -> Path:
    return write(tmp_path / "in.parquet", sentences)


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


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but Ray: one worker, in this process, with small partitions."""
    monkeypatch.setattr(annotate, "annotate_partitions", in_this_process)
    monkeypatch.setattr(partitions, "PARTITION_ROWS", 50)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [*map(str, args)])


def command(pipeline: Path, source: Path, output: Path) -> list[str]:
    return [sys.executable, SCRIPT, str(pipeline), str(source), str(output), "--workers", "2"]


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
        victim = next(pid for pid in descendants(process.pid) if is_worker(pid))
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


def descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from descendants(child)


def is_worker(pid: int) -> bool:
    try:
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return False
    return name.startswith(b"ray::MapWorker") and b"submit" in name  # only while it is busy


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
    assert "3 rows rejected" in result.output
    found = pyarrow.parquet.read_table(output, columns=["n", "mentions", "rejected"]).to_pylist()
    assert [row["n"] for row in found] == list(range(len(texts)))
    assert [row["mentions"] is None for row in found] == [False, True, True, True, False, False]
    reasons = [row["rejected"] for row in found]
    assert reasons[1:3] == ["the text is null, not a string", "not valid UTF-8"]
    assert "1,000,001 characters, more than the pipeline's max_length" in reasons[3]
    assert [reasons[i] for i in (0, 4, 5)] == [None] * 3
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


# --- Atomic output and resuming ---


@pytest.mark.usefixtures("no_cluster")
def test_annotate_resumes_an_interrupted_run(
    pipeline: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = source.with_name("out")
    written: list[str] = []

    def interrupted(job: Job, partitions: Sequence[Partition], *_: Any) -> Iterator[dict[str, Any]]:
        for counts in in_this_process(job, partitions):
            written.append(counts["name"])
            yield counts
            if len(written) == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(annotate, "annotate_partitions", interrupted)
        result = run(pipeline, source, output)
    assert result.exit_code == 130
    assert "continue with --resume" in result.stderr
    assert not output.exists()
    partial = source.with_name("out.partial")
    before = {name: (partial / name).stat().st_mtime_ns for name in written}

    result = run(pipeline, source, output, "--resume", "--labels", "PER")
    assert (
        "out.partial was made with another pipeline, other files or other options" in result.stderr
    )
    assert run(pipeline, source, output, "--resume").exit_code == 0
    assert {name: (output / name).stat().st_mtime_ns for name in written} == before
    assert_same(read(output), predicted(pipeline, source))
    assert all(path.suffix == ".parquet" for path in output.iterdir())


@pytest.mark.usefixtures("no_cluster")
def test_annotate_starts_over_without_resume(
    pipeline: Path, source: Path, sentences: list[str]
) -> None:
    partial = source.with_name("out.partial")
    write(partial / "of-another-run.parquet", ["Ada"])
    output = source.with_name("out")
    output.mkdir()  # an empty folder is allowed
    assert run(pipeline, source, output).exit_code == 0
    assert len(read(output)) == len(sentences)
    result = run(pipeline, source, output)
    assert result.exit_code == 1
    assert "out exists and isn't an empty folder" in result.stderr


@pytest.mark.usefixtures("no_cluster")
def test_annotate_on_an_object_store(
    pipeline: Path, source: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Object stores can't rename folders, so _SUCCESS is written last."""
    monkeypatch.setattr(cluster_output, "OBJECT_STORES", {"local"})
    output = source.with_name("out")
    success = output / "_SUCCESS"
    finish = cluster_output.finish_output

    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(annotate, "finish_output", interrupted)
    run(pipeline, source.as_uri(), output.as_uri())
    assert len(read(output)) == len(sentences)
    assert not success.exists()
    monkeypatch.setattr(annotate, "finish_output", finish)
    assert (
        "exists and isn't an empty folder" in run(pipeline, source.as_uri(), output.as_uri()).stderr
    )
    assert run(pipeline, source.as_uri(), output.as_uri(), "--resume").exit_code == 0
    assert success.exists()
    names = {path.name for path in output.iterdir() if path.suffix != ".parquet"}
    assert names == {"_SUCCESS"}
    result = run(pipeline, source.as_uri(), output.as_uri(), "--resume")
    assert "exists and isn't an empty folder" in result.stderr


def test_check_rows_requires_every_partition_once_with_all_rows() -> None:
    partitions = [Partition("a", 0, 5, "a-0"), Partition("a", 5, 7, "a-1")]
    cluster_output.check_rows(partitions, Counter(["a-1", "a-0"]), 7)
    for names, rows, message in (
        (["a-0"], 7, r"missing partitions: \['a-1'\]"),
        (["a-0", "a-1"], 6, "6 of 7 rows"),
        (["a-0", "a-1", "a-1"], 9, r"9 of 7 rows .* repeated or unknown: \['a-1'\]"),
    ):
        with pytest.raises(RuntimeError, match=message):
            cluster_output.check_rows(partitions, Counter(names), rows)


# --- Invalid input ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "in.parquet", "out"], "nowhere is not a pipeline"),
        (["blank", "none.parquet", "out"], "none.parquet: no such file or folder"),
        (["blank", "empty", "out"], "empty contains no file that ends in .parquet"),
        (["blank", "in.txt", "out"], "in.txt is not a complete Parquet file"),
        (["blank", "nocloud://in", "out"], "nocloud://in can't be reached"),
        (["blank", "in.parquet", "full"], "full exists and isn't an empty folder"),
        (["blank", "in.parquet", "in.parquet"], "in.parquet exists and isn't an empty folder"),
        (["blank", "in.parquet", "out", "--text-field", "x"], 'no column "x"; its columns are'),
        (["blank", "in.parquet", "out", "--text-field", "id"], '"id" is of type int64, not string'),
        (["blank", "done.parquet", "out"], 'done.parquet already has a column "mentions"'),
        (["blank", "in.parquet", "out", "--threshold", "0.5"], "blank has no confidence scores"),
        (["blank", "in.parquet", "out", "--labels", "PER"], "blank has no label PER"),
    ],
)
def test_annotate_reports_invalid_input_in_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors are reported before a cluster starts."""

    def no_cluster(*_: Any) -> None:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(annotate, "annotate_partitions", no_cluster)
    monkeypatch.chdir(tmp_path)
    spacy.blank("en").to_disk("blank")
    write(Path("in.parquet"), ["Ada"])
    write(Path("full/a.parquet"), ["Ada"])
    Path("in.txt").write_text("Ada")
    Path("empty").mkdir()
    done = pyarrow.table({"text": ["Ada"], "mentions": [1]})
    pyarrow.parquet.write_table(done, "done.parquet")
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:{port}", "Connection refused"),
        ("localhost", "invalid literal for int"),
        ("localhost:x", "invalid literal for int"),
        ("localhost:99999", ""),
        ("[::1]:{port}", ""),
    ],
)
@pytest.mark.parametrize("by_variable", [False, True])
def test_annotate_reports_an_unreachable_address_in_one_line(
    address: str,
    words: str,
    by_variable: bool,
    pipeline: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray itself would retry for many minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = address.format(port=free.getsockname()[1])  # bound, but not listening
        if by_variable:
            monkeypatch.setenv("RAY_ADDRESS", address)
        given = "auto" if by_variable else address
        result = run(pipeline, source, source.with_name("out"), "--address", given)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: --address {address}: can't connect (")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not source.with_name("out.partial").exists()


def test_annotate_reports_missing_ray_in_one_line(
    pipeline: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run(pipeline, source, source.with_name("out"))
    assert result.exit_code == 1
    assert result.stderr == 'Error: Ray is missing: pip install "ray[data]"\n'


def test_worker_errors_are_explained_by_their_cause() -> None:
    error = RuntimeError("wrapped\ntraceback")
    error.__cause__ = InputError("the weights are broken")
    assert driver.explain_failure(error) == "the weights are broken"
    error.__cause__ = OSError("no space")
    message = driver.explain_failure(error)
    assert message.startswith("the cluster failed (OSError: no space); ")
    assert message.endswith("continue with --resume")


def test_fingerprint_survives_json() -> None:
    job = Job("p", "cpu", 0.5, ["PER"], "text", "/in", "/out.partial", False)
    fingerprint = cluster_output.fingerprint_job(job, [Partition("a", 0, 5, "a-0")])
    assert json.loads(json.dumps(fingerprint)) == fingerprint
