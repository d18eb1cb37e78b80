"""The command redact: the file as it came, without names."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from conll_ner.prediction import annotating, redact, running

NUMBERS = {"level": 0.9, "confidence": 0.9, "least": 0.99, "share": 0.95}
PROMISE = {**NUMBERS, "gold": "dev.spacy", "documents": 20, "date": "2026-01-01"}
app = typer.Typer()
app.command()(redact.main)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [*map(str, args), "--device", "cpu"])


@pytest.fixture
def promising(pipeline: Path, tmp_path: Path) -> Path:
    """The pipeline, with a promise that was made with very probable candidates only."""
    copy = Path(shutil.copytree(pipeline, tmp_path / "promising"))
    for path, change in (
        (copy / "meta.json", {"promises": {"recall": PROMISE}}),
        (copy / "token_ner" / "cfg", {"candidates": 0.99}),
    ):
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return copy


def test_only_the_text_of_a_record_changes(pipeline: Path, tmp_path: Path) -> None:
    rows = [
        {"id": 1, "body": "Ada Lindqvist left Varnholm.", "tags": ["a", {"b": 1.50}]},
        {"id": 2, "body": "", "tags": None},
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / "out.jsonl"
    result = run(pipeline, source, "-o", output, "--text-field", "body", "--candidates", 0.3)
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert "[" in found[0]["body"]
    assert [list(row) for row in found] == [list(row) for row in rows]
    assert [row | {"body": ""} for row in found] == [row | {"body": ""} for row in rows]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ";"), (".csv", ","), (".tsv", "\t")])
def test_tables_keep_their_columns(
    pipeline: Path, tmp_path: Path, suffix: str, delimiter: str
) -> None:
    lines = [["id", "text", "note"], ["1", "Ada left.", "=1+1"], ["2", "Varnholm fell.", ""]]
    source, output = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    source.write_text("".join(delimiter.join(line) + "\r\n" for line in lines))
    assert run(pipeline, source, "-o", output, "--candidates", 0.3).exit_code == 0
    found = [line.split(delimiter) for line in output.read_text().splitlines()]
    assert [[row[0], row[2]] for row in found] == [[row[0], row[2]] for row in lines]
    assert found[0][1] == "text"
    assert found[1:] != lines[1:]


def test_lines_stay_where_they_are(pipeline: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_bytes(b"\nAda left.\n\n\n\xff Varnholm\nit rains\n")
    result = run(pipeline, source, "-o", output, "--candidates", 0.9)
    assert result.exit_code == 3  # the fifth line isn't UTF-8, and is left out
    lines = output.read_text().split("\n")
    assert len(lines) == 7
    assert [i for i, line in enumerate(lines) if line] == [1, 5]
    assert "not valid UTF-8" in (tmp_path / "out.txt.rejects.jsonl").read_text()


def test_a_whole_file_is_one_text(pipeline: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("it rains\n\n  it rains again")
    assert run(pipeline, source, "-o", output, "--whole-files", "--labels", "PER").exit_code == 0
    assert output.read_text().count("\n") <= 2


def test_what_was_replaced_is_listed_on_request(pipeline: Path, tmp_path: Path) -> None:
    source, output, listed = (tmp_path / name for name in ("in.txt", "out.txt", "list.jsonl"))
    text = "Ada Lindqvist left Varnholm."
    source.write_text(f"{text}\n")
    result = run(pipeline, source, "-o", output, "--replaced", listed, "--candidates", 0.3)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in listed.read_text().splitlines()]
    assert rows
    for row in rows:
        assert text[row["start"] : row["end"]] == row["text"]
        assert row["record"] == f"{source}:1"
    redacted = text
    for row in reversed(rows):
        redacted = redacted[: row["start"]] + row["replacement"] + redacted[row["end"] :]
    assert output.read_text() == f"{redacted}\n"


def test_the_floor_is_that_of_the_promised_recall(
    pipeline: Path, promising: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("it rains in Varnholm\n")
    lines = {}
    for name, folder in {"without": pipeline, "promising": promising}.items():
        result = run(folder, source, "-o", tmp_path / f"{name}.txt")
        assert ("has promised no recall" in " ".join(result.output.split())) == (name == "without")
        lines[name] = (tmp_path / f"{name}.txt").read_text()
    assert lines["promising"] != lines["without"]


@pytest.mark.parametrize(
    ("source", "output", "words"),
    [
        ("in.txt", "out.parquet", "must end in one of .txt, .jsonl, .csv, .tsv"),
        ("in.txt", "out.csv", "must have the format of"),
        ("folder", "out.txt", "is a folder; redact one file after another"),
        ("nothing.txt", "out.txt", "no such file"),
        ("in.txt", "in.txt", "in.txt"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    pipeline: Path, tmp_path: Path, source: str, output: str, words: str
) -> None:
    (tmp_path / "in.txt").write_text("it rains\n")
    (tmp_path / "folder").mkdir()
    result = run(pipeline, tmp_path / source, "-o", tmp_path / output, "--candidates", 0.5)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert (tmp_path / "in.txt").read_text() == "it rains\n"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["in.txt"]


def test_an_interrupted_run_is_resumed(
    pipeline: Path, tmp_path: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotating, "PART_RECORDS", 10)
    source = tmp_path / "in.txt"
    source.write_text("\n".join(sentences[:40]) + "\n", encoding="utf-8")
    options = ("--candidates", 0.3, "--labels", "PER", "--style", "number", "--replaced")
    whole, resumed = tmp_path / "whole.txt", tmp_path / "resumed.txt"
    assert run(pipeline, source, "-o", whole, *options, tmp_path / "whole.jsonl").exit_code == 0
    arguments = (pipeline, source, "-o", resumed, *options, tmp_path / "resumed.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(running, "join_parts", lambda *_: sys.exit(9))
        assert run(*arguments).exit_code == 9
    (tmp_path / "resumed.txt.partial" / "000002.json").unlink()
    result = run(*arguments, "--resume")
    assert result.exit_code == 0, result.output
    assert resumed.read_bytes() == whole.read_bytes()
    listed = [tmp_path / f"{name}.jsonl" for name in ("whole", "resumed")]
    assert listed[0].read_bytes() == listed[1].read_bytes()
    assert not (tmp_path / "resumed.txt.partial").exists()
