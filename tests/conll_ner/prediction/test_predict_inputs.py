"""What predict does with input that a format can't contain, or that can't be read."""

import csv
import gzip
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import spacy

from conll_ner.data.columns.conll import read_corpus
from conll_ner.prediction import annotating, parts
from tests.conll_ner.prediction.test_predict import PREDICT, read, run


def line_of(record: str) -> int:
    return int(record.rpartition(":")[2])


def rejects(output: Path) -> list[tuple[int, str]]:
    found = read(output.with_name(f"{output.name}.rejects.jsonl"))
    return [(line_of(row["record"]), row["reason"]) for row in found]


def test_predict_keeps_the_value_of_every_number(pipeline: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    numbers = ["1e999", "0.1234567890123456789", "0.1", "-0.0", "1E-400", str(10**40), "1e5"]
    source.write_text("".join(f'{{"text": "Ada", "n": [{n}]}}\n' for n in numbers))
    assert run(pipeline, source, "-o", output).exit_code == 0
    lines = output.read_text(encoding="utf-8").splitlines()
    found = [json.loads(line, parse_float=Decimal, parse_int=Decimal)["n"] for line in lines]
    assert found == [[Decimal(n)] for n in numbers]


def test_predict_rejects_what_json_does_not_have(pipeline: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    deep = "[" * 1000 + "]" * 1000
    lines = [
        '{"text": "Ada", "n": NaN}',
        '{"text": "Ada", "id": 1, "id": 2}',
        f'{{"text": "Ada", "a": {deep}}}',
        f'{{"text": "Ada", "a": {deep[905:-905]}}}',
        '{"text": "Lee"}',
    ]
    source.write_text("\n".join(lines))
    assert run(pipeline, source, "-o", output).exit_code == 3
    assert [row["text"] for row in read(output)] == ["Ada", "Lee"]
    assert rejects(output) == [
        (1, "not JSON: NaN is not a number"),
        (2, 'the key "id" occurs more than once in an object'),
        (3, "nested more than 100 levels deep"),
    ]


def test_predict_rejects_nan_from_parquet_only_for_json(pipeline: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    columns = {"text": ["Ada", "Lee"], "n": [float("nan"), 0.5]}
    pyarrow.parquet.write_table(pyarrow.table(columns), source)
    output = tmp_path / "out.jsonl"
    assert run(pipeline, source, "-o", output).exit_code == 3
    assert [row["n"] for row in read(output)] == [0.5]
    assert rejects(output) == [(1, 'the field "n" is NaN or infinite, which JSON doesn\'t have')]
    assert run(pipeline, source, "-o", tmp_path / "out.parquet").exit_code == 0
    assert len(pyarrow.parquet.read_table(tmp_path / "out.parquet")) == 2


def test_predict_writes_one_document_per_text_in_columns(pipeline: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.conll"
    source.write_text("Ada left.\n-DOCSTART- Lee\nBo said -DOCSTART- .\nNext\n")
    assert run(pipeline, source, "-o", output).exit_code == 3
    assert len(read_corpus(output).documents) == 2
    reason = "the text contains -DOCSTART-, which starts a document in this format"
    assert rejects(output) == [(2, reason), (3, reason)]
    assert run(pipeline, source, "-o", tmp_path / "out.jsonl").exit_code == 0


@pytest.mark.parametrize(
    ("first", "second"), [(1, 2**64), (0.5, "1e999"), (0.5, "0.1234567890123456789")]
)
def test_predict_names_the_field_that_parquet_cannot_contain(
    pipeline: Path, first: float, second: int | str, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_text(f'{{"text": "Ada", "n": {first}}}\n{{"text": "Ada", "n": {second}}}\n')
    result = run(pipeline, source, "-o", output)
    assert result.exit_code == 1
    assert result.stderr.startswith('Error: the field "n" has')
    assert result.stderr.endswith("write .jsonl instead\n")
    assert len(result.stderr.splitlines()) == 1
    assert not output.exists()


def test_predict_reports_a_damaged_parquet_file_in_one_line(pipeline: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["Ada"] * 9}), source, use_dictionary=False)
    start = pyarrow.parquet.read_metadata(source).row_group(0).column(0).data_page_offset
    data = bytearray(source.read_bytes())
    data[start : start + 20] = b"\xff" * 20
    source.write_bytes(data)
    result = run(pipeline, source, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "in.parquet is damaged: rows from 1 on can't be read: " in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_predict_reads_utf16_from_standard_input(
    python: Path, pipeline: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    command = [str(python), *PREDICT, str(pipeline), "-", "-o", str(output), "--format", "csv"]
    subprocess.run(command, input='id,text\r\n1,"Åda, left"\r\n'.encode("utf-16"), check=True)
    assert [(row["id"], row["text"]) for row in read(output)] == [("1", "Åda, left")]


@pytest.mark.slow
def test_predict_without_standard_input_is_one_line(pipeline: Path, tmp_path: Path) -> None:
    command = [sys.executable, *PREDICT, str(pipeline), "-", "-o", str(tmp_path / "out.jsonl")]
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    result = subprocess.run(closed, check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == ("Error: standard input is closed; name a file, or pipe the texts in\n")


def test_predict_reads_whole_files_and_writes_csv(pipeline: Path, tmp_path: Path) -> None:
    """The rows of CSV are the mentions of JSONL."""
    folder = tmp_path / "in"
    folder.mkdir()
    text = "Ada Lindqvist left\nVarnholm. The Norden\nBank fell."
    (folder / "a.txt").write_text(text)
    (folder / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("out.jsonl", "out.csv"):
        result = run(pipeline, folder, "-o", tmp_path / name, "--whole-files")
        assert result.exit_code == 0, result.output
    records = read(tmp_path / "out.jsonl")
    assert [record["text"] for record in records] == [text, text]
    assert all(record["mentions"] for record in records)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["record"], row["label"], int(row["start"]), int(row["end"])) for row in rows] == [
        (f"{record['source']}:1", mention["label"], mention["start"], mention["end"])
        for record in records
        for mention in record["mentions"]
    ]


def test_predict_of_input_that_changes_is_an_error(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of its texts could be missing, without a word. A pipe has no size and no time."""
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("Ada left.\n" * 2000)
    write_part = parts.Annotator.write_part

    def change(self: parts.Annotator, number: int, part: annotating.Part) -> dict[str, int]:
        os.truncate(source, 15_000)
        return write_part(self, number, part)

    monkeypatch.setattr(parts.Annotator, "write_part", change)
    result = run(pipeline, source, "-o", output)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert line == f"Error: {source} changed while it was read; start again when it is complete"
    assert not output.exists()


def test_predict_with_a_broken_wordpiece_is_one_line_once_it_is_met(
    pipeline: Path, tmp_path: Path
) -> None:
    """One of 30,000 rows isn't finite: the texts that are tried at load don't have it."""
    nlp = spacy.load(pipeline)
    transformer: Any = nlp.get_pipe("transformer")
    (row,) = transformer.model.shims[0]._hfmodel.tokenizer.convert_tokens_to_ids(["Q"])
    weights = transformer.model.shims[0]._model.get_input_embeddings().weight
    weights.data[row] = float("nan")
    nlp.to_disk(tmp_path / "broken")
    source = tmp_path / "in.txt"
    source.write_text("Ada left.\n")
    assert run(tmp_path / "broken", source, "-o", tmp_path / "a.jsonl").exit_code == 0
    source.write_text("Ada left.\nQ left.\n")
    result = run(tmp_path / "broken", source, "-o", tmp_path / "b.jsonl")
    assert result.exit_code == 1
    assert "Error: token_ner: logits are not finite: the weights are broken" in result.stderr
    assert not (tmp_path / "b.jsonl").exists()
