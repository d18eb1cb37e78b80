"""The candidates that predict writes beside the mentions."""

from pathlib import Path

import pyarrow.parquet
import pytest
import spacy
from spacy.tokens import DocBin

from conll_ner.data.mentions import describe_candidates
from tests.conll_ner.prediction.test_predict import read, run


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".spacy"])
def test_predict_writes_candidates_on_request(
    pipeline: Path, tmp_path: Path, sentences: list[str], suffix: str
) -> None:
    source, output = tmp_path / "in.txt", tmp_path / f"out{suffix}"
    source.write_text("\n".join(sentences), encoding="utf-8")
    assert (
        run(pipeline, source, "-o", output, "--candidates", 0.2, "--labels", "PER").exit_code == 0
    )
    if suffix == ".spacy":
        docs = DocBin().from_disk(output).get_docs(spacy.blank("en").vocab)
        found = [describe_candidates(doc) for doc in docs]
    else:
        rows = (
            read(output) if suffix == ".jsonl" else pyarrow.parquet.read_table(output).to_pylist()
        )
        found = [row["candidates"] for row in rows]
    nlp = spacy.load(pipeline, config={"components.token_ner.candidates": 0.2})
    expected = [describe_candidates(nlp(text)) for text in sentences[:5]]
    assert [[c["start"] for c in row] for row in found[:5]] == [
        [c["start"] for c in row if c["label"] == "PER"] for row in expected
    ]
    assert sum(map(len, found)) > 0


def test_predict_rejects_records_whose_candidates_it_would_overwrite(
    pipeline: Path, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "Ada left.", "candidates": ["Ada", "Kaya"]}\n')
    assert run(pipeline, source, "-o", output).exit_code == 0
    assert read(output)[0]["candidates"] == ["Ada", "Kaya"]
    assert run(pipeline, source, "-o", output, "--candidates", 0.2).exit_code == 3
    assert (
        "would overwrite the field candidates" in (tmp_path / "out.jsonl.rejects.jsonl").read_text()
    )
