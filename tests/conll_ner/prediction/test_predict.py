"""Annotating files: order, parts, formats, rejects, and resumed runs with identical output."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import spacy
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.data.mentions import list_mentions
from conll_ner.prediction import annotating, parts, predict, running
from conll_ner.prediction.outputs import FORMATS
from tests.stress_helpers import Process, complete

app = typer.Typer()
app.command()(predict.main)
PREDICT = ("-m", "spacy", "ner", "predict")


def run(*args: object, text: str | None = None) -> Result:
    return CliRunner().invoke(app, [*map(str, args), "--device", "cpu"], input=text)


@pytest.fixture
def source(tmp_path: Path, sentences: list[str]) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("\n".join(sentences), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotating, "PART_RECORDS", 10)


def test_predict_gives_the_mentions_of_the_pipeline(
    pipeline: Path, source: Path, sentences: list[str]
) -> None:
    """Sorting by length, batching and parts change scores by rounding only."""
    output = source.with_suffix(".jsonl")
    result = run(pipeline, source, "-o", output)
    assert result.exit_code == 0, result.output
    assert f"{len(sentences)} texts" in " ".join(result.stdout.split())
    rows = read(output)
    assert [row["text"] for row in rows] == sentences
    nlp = spacy.load(pipeline)
    same = 0
    for row in rows:
        expected = list_mentions(nlp(row["text"]))
        same += [m["start"] for m in row["mentions"]] == [m["start"] for m in expected]
        assert row["line"] >= 1
    assert same >= 0.98 * len(rows)  # with random weights, labels can have equal scores
    assert not source.with_name("in.jsonl.partial").exists()


@pytest.mark.parametrize("suffix", FORMATS)
def test_predict_writes_each_format(pipeline: Path, source: Path, suffix: str) -> None:
    output = source.with_suffix(f".out{suffix}")
    assert run(pipeline, source, "-o", output).exit_code == 0
    assert output.stat().st_size > 1000


@pytest.mark.parametrize("suffix", FORMATS)
def test_predict_interrupted_and_resumed_gives_the_same_bytes(
    pipeline: Path, source: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    whole, resumed = source.with_name(f"whole{suffix}"), source.with_name(f"resumed{suffix}")
    assert run(pipeline, source, "-o", whole).exit_code == 0
    write_part = parts.Annotator.write_part

    def interrupted(self: parts.Annotator, number: int, part: annotating.Part) -> dict[str, int]:
        if number == 5:
            (self.folder / f"{number:06}{suffix}").write_bytes(b"half")
            raise KeyboardInterrupt
        return write_part(self, number, part)

    monkeypatch.setattr(parts.Annotator, "write_part", interrupted)
    result = run(pipeline, source, "-o", resumed)
    assert result.exit_code == 130
    assert "continue with --resume" in result.stderr
    assert not resumed.exists()

    written: list[int] = []

    def recorded(self: parts.Annotator, number: int, part: annotating.Part) -> dict[str, int]:
        written.append(number)
        return write_part(self, number, part)

    monkeypatch.setattr(parts.Annotator, "write_part", recorded)
    assert run(pipeline, source, "-o", resumed, "--resume").exit_code == 0
    assert written == list(range(5, 14))
    assert resumed.read_bytes() == whole.read_bytes()
    assert not resumed.with_name(f"{resumed.name}.partial").exists()


@pytest.mark.slow
def test_predict_killed_and_resumed_gives_the_same_bytes(
    python: Path, pipeline: Path, tmp_path: Path, sentences: list[str]
) -> None:
    """Two processes are killed with SIGKILL while they write."""
    folder = tmp_path / "out"
    folder.mkdir()
    source, log = tmp_path / "in.txt", tmp_path / "log"
    source.write_text("\n".join(sentences * 36), encoding="utf-8")
    command = [*PREDICT, pipeline, source, "--device", "cpu", "-o"]
    complete(python, [*command, folder / "whole.jsonl"], log)
    command[-1:] = "--processes", 2, "-o"
    partial = folder / "resumed.jsonl.partial"
    process = Process(python, [*command, folder / "resumed.jsonl"], log)
    deadline = time.monotonic() + 120
    while len(list(partial.glob("00*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= len(list(partial.glob("00*.json"))) < 5
    complete(python, [*command, folder / "resumed.jsonl", "--resume"], log)
    expected = (folder / "whole.jsonl").read_bytes()
    assert (folder / "resumed.jsonl").read_bytes() == expected
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["resumed.jsonl", "whole.jsonl"]  # nothing hidden is left


def test_predict_resumes_only_the_same_run(pipeline: Path, source: Path) -> None:
    output = source.with_suffix(".jsonl")
    partial = output.with_name("in.jsonl.partial")
    parts.prepare_parts(partial, {"other": 1}, resume=False)
    result = run(pipeline, source, "-o", output, "--resume")
    assert result.exit_code == 1
    assert "in.jsonl.partial was made with another pipeline, other files or other" in result.stderr
    assert run(pipeline, source, "-o", output).exit_code == 0  # starts over
    assert run(pipeline, source, "-o", output, "--resume").exit_code == 0  # nothing to resume


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_predict_resumes_only_with_the_same_input(
    pipeline: Path, source: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """Records are compared, not only file size and time, which standard input doesn't have."""
    small_parts(monkeypatch)
    output = source.with_suffix(".jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(running, "join_parts", lambda *_: sys.exit(9))
        assert run(pipeline, source, "-o", output).exit_code == 9
    stat = source.stat()
    text = source.read_text(encoding="utf-8")
    source.write_text(text[:-1] + "?", encoding="utf-8")
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = run(pipeline, source, "-o", output, "--resume", "--processes", processes)
    assert result.exit_code == 1
    assert "in.jsonl.partial: the input has changed since, from part 13 on" in result.stderr
    assert len([line for line in result.stderr.splitlines() if "Error" in line]) == 1
    assert not output.exists()


@pytest.mark.slow
def test_predict_with_two_processes_writes_the_same(
    pipeline: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    outputs = [source.with_name(f"{n}.jsonl") for n in (1, 2)]
    for n, output in enumerate(outputs, start=1):
        result = run(pipeline, source, "-o", output, "--processes", n)
        assert result.exit_code == 0, result.output
    one, two = map(read, outputs)
    assert [row["text"] for row in one] == [row["text"] for row in two]
    for row, other in zip(one, two, strict=True):  # rounding: the number of threads differs
        scores = [m["score"] for m in row["mentions"]]
        assert [m["score"] for m in other["mentions"]] == pytest.approx(scores, abs=1e-3)


def test_predict_writes_rejects_to_a_file_and_exits_with_3(pipeline: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "Ada"}\nhalf\n{"text": null}\n{"id": 1, "text": "B"}\n')
    result = run(pipeline, source, "-o", output)
    assert result.exit_code == 3
    assert "2 records rejected" in result.output
    assert [row["text"] for row in read(output)] == ["Ada", "B"]
    rejects = read(tmp_path / "out.jsonl.rejects.jsonl")
    assert [row["record"] for row in rejects] == [f"{source}:2", f"{source}:3"]
    assert rejects[1]["reason"] == "the text is null, not a string"
    source.write_text('{"text": "Ada"}')
    assert run(pipeline, source, "-o", output).exit_code == 0
    assert not (tmp_path / "out.jsonl.rejects.jsonl").exists()  # from the previous run


def test_predict_annotates_texts_longer_than_max_length(pipeline: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text(f"Ada\n{'x' * 1_000_001}\n")
    assert run(pipeline, source, "-o", output).exit_code == 0
    rows = read(output)
    assert [len(row["text"]) for row in rows] == [3, 1_000_001]


def test_predict_threshold_and_labels(pipeline: Path, source: Path) -> None:
    output = source.with_suffix(".jsonl")
    run(pipeline, source, "-o", output)
    everything = [m for row in read(output) for m in row["mentions"]]
    middle = sorted(m["score"] for m in everything)[len(everything) // 2]
    run(pipeline, source, "-o", output, "--threshold", middle, "--labels", "PER,LOC")
    kept = [m for row in read(output) for m in row["mentions"]]
    assert 0 < len(kept) < len(everything) / 2
    assert {m["label"] for m in kept} <= {"PER", "LOC"}
    assert min(m["score"] for m in kept) >= middle


@pytest.mark.slow
def test_predict_reads_standard_input(python: Path, pipeline: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    command = [str(python), *PREDICT, str(pipeline), "-", "-o", str(output), "--format", "jsonl"]
    text = '{"text": "Ada", "id": 1}\n'
    subprocess.run(command, input=text.encode(), check=True)
    assert [(row["id"], row["text"]) for row in read(output)] == [(1, "Ada")]


def test_predict_of_an_empty_file_is_an_empty_file(pipeline: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.touch()
    assert run(pipeline, source, "-o", output).exit_code == 0
    assert output.read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "in.txt", "-o", "out.jsonl"], "nowhere is not a pipeline"),
        (["blank", "none.txt", "-o", "out.jsonl"], "none.txt: no such file or folder"),
        (["blank", "in.jsonl", "-o", "in.jsonl"], "in.jsonl is also an input; choose another"),
        (["blank", ".", "-o", "in.jsonl"], "in.jsonl is in the input .; choose another output"),
        (
            ["blank", "in.txt", "-o", "in.txt/out.jsonl"],
            "in.txt/out.jsonl is in the input in.txt",
        ),
        (["blank", "in.txt", "-o", "out.xls"], "out.xls must end in one of .jsonl, .parquet"),
        (["blank", "in.txt", "-o", "out.jsonl", "--format", "x"], "--format x is not one of csv"),
        (
            ["blank", "in.txt", "-o", "out.jsonl", "--threshold", "0.5"],
            "blank has no confidence scores",
        ),
        (["blank", "in.txt", "-o", "out.jsonl", "--labels", "PER"], "blank has no label PER"),
    ],
)
def test_predict_reports_invalid_input_in_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spacy.blank("en").to_disk("blank")
    Path("in.txt").write_text("Ada")
    Path("in.jsonl").write_text('{"text": "Ada"}')
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("out.jsonl").exists()
    assert Path("in.jsonl").read_text() == '{"text": "Ada"}'


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_predict_on_a_full_disk_can_be_resumed(
    pipeline: Path, source: Path, processes: int
) -> None:
    output = source.with_suffix(".jsonl")
    command = [sys.executable, *PREDICT, str(pipeline), str(source), "-o", str(output)]
    command += ["--device", "cpu", "--processes", str(processes)]
    result = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert result.returncode == 1
    kept = f"{output}.partial is kept: continue with --resume"
    assert result.stderr.splitlines()[-1] == f"Error: [Errno 27] File too large; {kept}"
    assert "Traceback" not in result.stderr
    assert not output.exists()
    again = run(pipeline, source, "-o", output, "--processes", processes, "--resume")
    assert again.exit_code == 0, again.output
    assert len(read(output)) == len(source.read_text(encoding="utf-8").splitlines())


@given(st.lists(st.integers(0, 3000), max_size=30))
def test_parts_contain_all_items_in_order(sizes: list[int]) -> None:
    items: list[Annotated | Issue] = [Annotated("x", "x" * 200 * n) for n in sizes]
    parts = list(annotating.cut_parts(items))
    assert [item for part in parts for item in part] == items
    assert len(parts) >= 1
    for part in parts:
        size = sum(len(item.text) for item in part if isinstance(item, Annotated))
        assert size <= annotating.PART_CHARACTERS or len(part) == 1


@given(st.lists(st.text(alphabet="x", max_size=200), max_size=50))
def test_batches_contain_every_text_once(texts: list[str]) -> None:
    found = list(annotating.batch_by_length(texts))
    assert sorted(i for batch in found for i in batch) == list(range(len(texts)))
    assert all(batch for batch in found)
