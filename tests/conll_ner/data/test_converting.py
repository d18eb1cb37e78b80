"""convert with any format: what is written, listed, split and refused."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import spacy
import typer
from spacy.tokens import Doc
from spacy.vocab import Vocab
from typer.testing import CliRunner, Result

from conll_ner.common.overwriting import MARK
from conll_ner.data import convert, converting
from conll_ner.data.docs import read_docs
from conll_ner.data.formats.annotated import Reading
from tests.conftest import SAMPLE, TINY
from tests.conll_ner.data.formats.support import MENTIONS, TEXT, jsonl, mentions

app = typer.Typer()
app.command()(convert.main)
SPANS: list[Any] = [[0, 3, "PER"], [9, 13, "LOC"]]


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def docs(path: Path) -> list[Doc]:
    return list(read_docs(path, Vocab()))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    records = [{"text": TEXT, "label": SPANS}, {"text": "Ada. ", "label": [[0, 2, "PER"]]}]
    return jsonl(tmp_path / "in.jsonl", *records)


def test_annotations_become_documents_and_issues(source: Path, tmp_path: Path) -> None:
    result = run(source, tmp_path / "out.spacy")
    assert result.exit_code == 0, result.output
    first, second = docs(tmp_path / "out.spacy")
    assert (mentions(first), mentions(second)) == (MENTIONS, [])
    assert first.text == TEXT
    assert not first.has_unknown_spaces  # so that spaCy trains on the pipeline's own tokens
    (issue,) = map(json.loads, (tmp_path / "out.spacy.issues.jsonl").read_text().splitlines())
    assert issue == {
        "record": f"{source}:2",
        "reason": "its edges are within words",
        "text": "Ad",
        "label": "PER",
        "start": 0,
        "end": 2,
    }
    printed = " ".join(result.output.split())
    assert "2 documents, 6 words, 1 LOC, 1 PER (doccano)" in printed
    assert "1 words have no label" in printed
    assert "1 annotations not used as they are: 1 its edges are within words" in printed


def test_a_list_of_issues_is_deleted_when_there_are_none(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "out.spacy")
    jsonl(source, {"text": TEXT, "label": SPANS})
    assert run(source, tmp_path / "out.spacy").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.spacy"]


def test_issues_are_repaired_on_demand(source: Path, tmp_path: Path) -> None:
    assert run(source, tmp_path / "out.spacy", "--align", "expand").exit_code == 0
    assert mentions(docs(tmp_path / "out.spacy")[1]) == [("Ada", "PER")]
    (issue,) = map(json.loads, (tmp_path / "out.spacy.issues.jsonl").read_text().splitlines())
    assert issue["used"] == "Ada"


@pytest.mark.parametrize("to", ["prodigy", "doccano", "labelstudio", "jsonl", "columns", "spacy"])
def test_any_format_is_converted_to_any_other_and_back(
    to: str, source: Path, tmp_path: Path
) -> None:
    jsonl(source, {"text": TEXT, "label": SPANS})
    between = tmp_path / f"between{'.spacy' if to == 'spacy' else ''}"
    assert run(source, between, "--to", to).exit_code == 0
    result = run(between, tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out.jsonl").read_text())
    assert [(m["text"], m["label"]) for m in record["mentions"]] == MENTIONS
    assert record["text"].rstrip() == (TEXT if to != "columns" else "Ada left Oslo .")


def test_column_files_are_written_in_any_scheme(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(TINY)
    for scheme in ("iob1", "bilou", "iobes", "bmes", "iob2"):
        assert run(tmp_path / "in.txt", tmp_path / "a.txt", "--to-scheme", scheme).exit_code == 0
        assert run(tmp_path / "a.txt", tmp_path / "b.txt", "--scheme", scheme).exit_code == 0
        assert (tmp_path / "b.txt").read_text() == TINY


def test_a_corpus_is_split_by_document(tmp_path: Path) -> None:
    parts = []
    for seed in (0, 0, 1):
        result = run(SAMPLE / "train.txt", tmp_path / "out", "--split", "80/10/10", "--seed", seed)
        assert result.exit_code == 0, result.output
        splits = [docs(tmp_path / "out" / f"{name}.spacy") for name in ("train", "dev", "test")]
        parts.append([[doc.text for doc in split] for split in splits])
    assert parts[0] == parts[1] != parts[2]
    assert [len(split) for split in parts[0]] == [38, 5, 5]
    whole = run(SAMPLE / "train.txt", tmp_path / "all.spacy")
    assert whole.exit_code == 0
    texts = [doc.text for doc in docs(tmp_path / "all.spacy")]
    assert sorted(text for split in parts[0] for text in split) == sorted(texts)
    assert all(split == [text for text in texts if text in split] for split in parts[0])


def test_splits_can_have_any_format_and_no_test(tmp_path: Path) -> None:
    result = run(SAMPLE / "train.txt", tmp_path / "out", "--split", "3/1", "--to", "prodigy")
    assert result.exit_code == 0, result.output
    made = {path.name: len(path.read_text().splitlines()) for path in (tmp_path / "out").glob("*l")}
    assert made == {"train.jsonl": 36, "dev.jsonl": 12}


def test_a_corpus_is_split_into_folds(tmp_path: Path) -> None:
    result = run(SAMPLE / "valid.txt", tmp_path / "out", "--folds", 3)
    assert result.exit_code == 0, result.output
    run(SAMPLE / "valid.txt", tmp_path / "all.spacy")
    texts = sorted(doc.text for doc in docs(tmp_path / "all.spacy"))
    devs = []
    for number in (1, 2, 3):
        train, dev = (
            [doc.text for doc in docs(tmp_path / "out" / f"fold-{number}" / f"{name}.spacy")]
            for name in ("train", "dev")
        )
        assert sorted(train + dev) == texts
        devs += dev
    assert sorted(devs) == texts


def test_a_folder_of_splits_is_converted_as_a_whole(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    source.rename(folder / "train.jsonl")
    (folder / "dev.txt").write_text(TINY)
    result = run(folder, tmp_path / "out")
    assert result.exit_code == 0, result.output
    made = {path.name for path in (tmp_path / "out").iterdir()} - {MARK}
    assert made == {"train.spacy", "train.spacy.issues.jsonl", "dev.spacy", "test.spacy"}
    assert mentions(docs(tmp_path / "out" / "train.spacy")[0]) == MENTIONS
    assert docs(tmp_path / "out" / "test.spacy") == []
    assert "has no test split" in " ".join(result.output.split())


def test_a_folder_with_a_broken_record_lets_a_project_go_on(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "train.jsonl").write_text(source.read_text(encoding="utf-8") + "{\n")
    (folder / "dev.txt").write_text(TINY)
    result = run(folder, tmp_path / "out")
    assert result.exit_code == 0, result.output
    (broken,) = [
        issue
        for line in (tmp_path / "out" / "train.spacy.issues.jsonl").read_text().splitlines()
        if "not JSON" in (issue := json.loads(line))["reason"]
    ]
    assert broken["record"].startswith(str(folder / "train.jsonl"))
    assert run(folder / "train.jsonl", tmp_path / "train.spacy").exit_code == 3
    assert run(folder, tmp_path / "strict", "--strict").exit_code == 1
    assert not (tmp_path / "strict").exists()


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in.jsonl", "out", "--split", "80"], "--split 80 isn't like 80/10/10"),
        (["in.jsonl", "out", "--split", "1/1/1"], "--split: 2 documents are too few for"),
        (["in.jsonl", "out", "--folds", "3"], "--folds 3: there are only 2 documents"),
        (["in.jsonl", "out.spacy", "--format", "docanno"], "--format docanno is not one of auto"),
        (["in.jsonl", "out.spacy", "--to", "spacy3"], "--to spacy3 is not one of auto, spacy"),
        (["in.jsonl", "out.spacy", "--format", "brat"], "in.jsonl"),
        (["none.jsonl", "out.spacy"], "none.jsonl: no such file or folder"),
        (["empty.jsonl", "out.spacy"], "empty.jsonl contains no words"),
        (["folder", "out.spacy"], "folder contains no file that ends in"),
        (["corpus", "out"], "corpus has no file for valid"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    jsonl(Path("empty.jsonl"), {"text": " ", "label": []})
    Path("folder").mkdir()
    Path("corpus").mkdir()
    (Path("corpus") / "train.txt").write_text(TINY)
    before = sorted(path.name for path in tmp_path.iterdir())
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("to", ["jsonl", "prodigy", "labelstudio"])
def test_the_vocabulary_does_not_grow_with_the_file(
    to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"Ada{i} left Oslo{i}." for i in range(30)]
    records = [
        {"text": text, "label": [[0, text.index(" "), f"T{i}"]]} for i, text in enumerate(texts)
    ]
    nlp = spacy.blank("en")
    how = converting.Conversion(Reading(nlp), to)
    source = jsonl(tmp_path / "in.jsonl", *records)
    converting.convert_files([source], tmp_path / "whole.json", how)
    monkeypatch.setattr(converting, "ZONE", 10)
    nlp = spacy.blank("en")
    converting.convert_files(
        [source], tmp_path / "zones.json", converting.Conversion(Reading(nlp), to)
    )
    assert (tmp_path / "zones.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    kept = [f"Oslo{i}" in nlp.vocab.strings for i in range(30)]
    assert kept == [True] * 10 + [False] * 20


def test_inclusive_ends_are_named_and_read(tmp_path: Path) -> None:
    records = [
        {"text": TEXT, "label": [[a, b - 1, label] for a, b, label in SPANS]},
        {"text": "Bo won.", "label": [[0, 1, "PER"]]},
    ]
    source = jsonl(tmp_path / "in.jsonl", *records)
    result = run(source, tmp_path / "out.spacy")
    assert result.exit_code == 1
    assert "3 of 3 mentions lack their last character: --inclusive-ends reads" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
    result = run(source, tmp_path / "out.spacy", "--inclusive-ends")
    assert result.exit_code == 0, result.output
    assert [mentions(doc) for doc in docs(tmp_path / "out.spacy")] == [MENTIONS, [("Bo", "PER")]]


def test_a_source_is_not_taken_for_the_target(tmp_path: Path) -> None:
    paths = [jsonl(tmp_path / f"{n}.jsonl", {"text": TEXT, "label": SPANS}) for n in range(3)]
    before = paths[2].read_bytes()
    result = run(*paths)
    assert result.exit_code == 1
    assert "2.jsonl exists; is it a source?" in result.stderr
    assert paths[2].read_bytes() == before
    assert run(*paths, tmp_path / "out.jsonl").exit_code == 0


@pytest.mark.parametrize("others", [["doccano"], ["spacy"], ["columns", "spacy"]])
def test_sources_of_several_formats_are_written_together(others: list[str], tmp_path: Path) -> None:
    """Words of a DocBin are needed longer than those of texts."""
    sources = [jsonl(tmp_path / "in.jsonl", {"text": TEXT, "label": SPANS})]
    for i, name in enumerate(others):
        other = jsonl(tmp_path / "other.jsonl", {"text": f"Bo{i} won.", "label": [[0, 3, "PER"]]})
        sources.append(tmp_path / f"{i}{'.spacy' if name == 'spacy' else ''}")
        assert run(other, sources[-1], "--to", name).exit_code == 0
    assert run(*sources, tmp_path / "out.jsonl").exit_code == 0
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    found = [[(m["text"], m["label"]) for m in record["mentions"]] for record in records]
    assert found == [MENTIONS, *([(f"Bo{i}", "PER")] for i in range(len(others)))]


def test_every_mention_of_a_file_is_used_or_listed(tmp_path: Path) -> None:
    """Counted in the file itself, by its JSON alone."""
    rng = random.Random(0)
    lines = []
    for number in range(60):
        text = " ".join(rng.choice(["Ada", "Oslo", "left", "the", "."]) for _ in range(12))
        bounds = [sorted(rng.sample(range(len(text) + 1), 2)) for _ in range(5)]
        words = [m.span() for m in re.finditer(r"\S+", text)]
        spans = {(a, b) for a, b in [*bounds, *rng.sample(words, 5)]}
        odd = number % 10 == 9
        record = {"text": None if odd else text, "label": [[a, b, "X"] for a, b in sorted(spans)]}
        lines.append(json.dumps(record))
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    result = run(tmp_path / "in.jsonl", tmp_path / "out.spacy")
    assert result.exit_code == 3, result.output
    n_mentions = sum(line.count('"X"]') for line in lines if '"text": null' not in line)
    found = docs(tmp_path / "out.spacy")
    listed = (tmp_path / "out.spacy.issues.jsonl").read_text().splitlines()
    unreadable = [line for line in listed if '"unreadable": true' in line]
    left_out = [line for line in listed if '"label": "X"' in line and '"used"' not in line]
    assert len(unreadable) == sum('"text": null' in line for line in lines)
    assert len(found) == len(lines) - len(unreadable)
    assert sum(len(doc.ents) for doc in found) + len(left_out) == n_mentions
