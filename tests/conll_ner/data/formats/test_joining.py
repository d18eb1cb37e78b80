"""Annotators' copies of a text become one document."""

import json
import zipfile
from itertools import combinations
from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.formats.joining import DIFFERS, Records, join_copies
from tests.conll_ner.data.formats.readers.test_webanno import HEADER, LAYER
from tests.conll_ner.data.formats.support import (
    MENTIONS,
    SPANS,
    TEXT,
    jsonl,
    mentions,
    read,
    read_all,
)
from tests.conll_ner.data.test_converting import run

ANN = "T1\tPER 0 3\tAda\nT2\tLOC 9 13\tOslo\n"


def brat(folder: Path, annotations: str, text: str = TEXT) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "doc1.txt").write_text(text)
    (folder / "doc1.ann").write_text(annotations)


def inception(folder: Path, name: str, *labels: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    bounds = ((0, 3), (4, 8), (9, 13), (13, 14))
    rows = [
        f"1-{i}\t{a}-{b}\t{TEXT[a:b]}\t_\t{label}\t"
        for i, ((a, b), label) in enumerate(zip(bounds, labels, strict=True), start=1)
    ]
    (folder / f"{name}.tsv").write_text(f"{HEADER}{LAYER}\n\n#Text={TEXT}\n" + "\n".join(rows))


def test_the_curated_copy_of_a_project_export_is_used(tmp_path: Path) -> None:
    """INCEpTION writes annotation/DOCUMENT/{ANNOTATOR}.tsv and curation/DOCUMENT/…."""
    inception(tmp_path / "annotation" / "doc1.txt", "anna", "PER", "_", "_", "_")
    inception(tmp_path / "annotation" / "doc1.txt", "ben", "_", "_", "LOC", "_")
    inception(tmp_path / "curation" / "doc1.txt", "CURATION_USER", "PER", "_", "LOC", "_")
    _, (doc,), issues = read(tmp_path)
    assert mentions(doc) == MENTIONS
    assert [(Path(i.record).stem, i.reason) for i in issues] == [
        ("anna", DIFFERS),
        ("ben", DIFFERS),
    ]


def test_without_a_curated_copy_the_first_is_used(tmp_path: Path) -> None:
    brat(tmp_path / "anna", ANN)
    brat(tmp_path / "ben", ANN)
    brat(tmp_path / "cleo", ANN.splitlines()[0])
    _, (doc,), issues = read(tmp_path)
    assert mentions(doc) == MENTIONS
    assert [Path(issue.record).parent.name for issue in issues] == ["cleo"]


def test_other_texts_stay_documents_of_their_own(tmp_path: Path) -> None:
    brat(tmp_path / "anna", ANN)
    brat(tmp_path / "ben", "", "Bo won.")
    assert len(read(tmp_path)[1]) == 2


def test_the_summary_states_the_agreement(tmp_path: Path) -> None:
    copies = {"anna": {1, 2}, "ben": {1, 2}, "cleo": {1}}
    for name, numbers in copies.items():
        lines = [line for line in ANN.splitlines() if int(line[1]) in numbers]
        brat(tmp_path / "in" / name, "\n".join(lines))
    pairs = list(combinations(copies.values(), 2))
    f1 = 200 * sum(len(a & b) for a, b in pairs) / sum(len(a) + len(b) for a, b in pairs)
    result = run(tmp_path / "in", tmp_path / "out.spacy")
    assert result.exit_code == 0, result.output
    printed = " ".join(result.output.split())
    assert (
        f"1 texts annotated more than once; their mentions agree with an F1 of {f1:.1f}" in printed
    )


def test_a_text_that_comes_twice_in_a_file_is_two_documents(tmp_path: Path) -> None:
    records = [{"text": TEXT, "label": spans} for spans in (SPANS, SPANS[:1])]
    one = jsonl(tmp_path / "anna.jsonl", *records)
    two = jsonl(tmp_path / "ben.jsonl", *records[::-1], {"text": "Bo won.", "label": []})
    _, docs, issues = read_all([one, two])
    assert [mentions(doc) for doc in docs] == [MENTIONS, MENTIONS[:1], []]
    assert [issue.reason for issue in issues] == [DIFFERS] * 2


@pytest.mark.parametrize("kind", ["folder", "archive", "files"])
def test_exports_of_several_users_are_read_together(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    files = [
        jsonl(folder / "admin.jsonl", {"text": TEXT, "label": SPANS}),
        jsonl(folder / "ben.json", {"text": "Bo won.", "mentions": []}),
    ]
    (folder / ".hidden.json").write_text("{")
    archive = tmp_path / "exports.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        for path in folder.iterdir():
            writer.write(path, f"in/{path.name}")
    sources = {"folder": [folder], "archive": [archive], "files": files}[kind]
    name, docs, _ = read_all(sources)
    assert name == "doccano, jsonl"
    assert [doc.text for doc in docs] == [TEXT, "Bo won."]
    result = run(*sources, tmp_path / "out", "--split", "1/1")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").glob("*.spacy")} == {
        "train.spacy",
        "dev.spacy",
    }


def test_records_of_an_archive_are_named_by_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as writer:
        good = json.dumps({"text": TEXT, "label": SPANS})
        writer.writestr("a/b.jsonl", f'{good}\n{{"text": 5, "label": []}}\n')
    _, docs, issues = read(tmp_path / "in.zip", strict=False)
    with pytest.raises(InputError, match=r"in\.zip/a/b\.jsonl:2"):
        read(tmp_path / "in.zip")
    assert len(docs) == 1
    assert [issue.record for issue in issues] == [f"{tmp_path / 'in.zip'}/a/b.jsonl:2"]


@pytest.mark.parametrize(
    "later", [["a", "b"], ["a", "a", "b", "c"], ["a", "a"], ["a", "a", "a", "b"], []]
)
def test_a_source_that_changes_between_two_readings_is_an_error(later: list[str]) -> None:
    """Otherwise a record would be missing."""
    readings = iter([["a", "a", "b"], later])

    def read() -> Records:
        return (Annotated(text, text, key=text) for text in next(readings))

    with pytest.raises(InputError, match="the source has changed while it was read"):
        list(join_copies(read))
