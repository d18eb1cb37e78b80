"""Detection of formats by content, and records that can't be read."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from conll_ner.common.console import InputError
from conll_ner.data.docs import read_docs
from conll_ner.data.formats.json_records import CHUNK, read_json_records
from conll_ner.data.formats.reading import COLUMNS, FORMATS, detect
from conll_ner.data.formats.writing import describe_formats
from tests.conftest import ROOT
from tests.conll_ner.data.formats.support import (
    MENTIONS,
    OBJECTS,
    SPANS,
    TEXT,
    jsonl,
    mentions,
    read,
)
from tests.conll_ner.data.test_converting import docs, run

GOOD = {"text": TEXT, "mentions": OBJECTS}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "in.json has no records"),
        ("[\n", "in.json:1: not JSON"),
        ("", "in.json has no records"),
        ('[{"x": 1}]', "no known format; write each text as a line of JSONL:$"),
    ],
)
def test_json_without_records_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        detect(path)
    assert len(str(error.value).splitlines()) == 1


def test_the_example_for_unknown_json_can_be_converted(tmp_path: Path) -> None:
    unknown, source = jsonl(tmp_path / "x.jsonl", {"x": 1}), tmp_path / "in.jsonl"
    first, *example = run(unknown, tmp_path / "out.spacy").stderr.splitlines()
    assert first.startswith(f"Error: {unknown} is JSON, but of no known format; ")
    assert len(example) == 4
    source.write_text("\n".join(example) + "\n")
    assert run(source, tmp_path / "out.spacy").exit_code == 0
    found = [mentions(doc) for doc in docs(tmp_path / "out.spacy")]
    assert found == [[("Ada Lin", "PER")], [("Oslo", "LOC")], [], [("Nordbank", "ORG")]]


def test_a_column_file_can_begin_with_a_bracket(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("[ O\nAda B-PER\n")
    assert detect(path) == COLUMNS


def test_a_folder_without_annotations_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains no file that ends in"):
        detect(tmp_path)


def test_formats_that_read_a_file_differently_are_an_error(tmp_path: Path) -> None:
    record = {"text": TEXT, "label": SPANS, "_input_hash": 1, "spans": OBJECTS[:1]}
    path = jsonl(tmp_path / "in.jsonl", record)
    with pytest.raises(InputError, match=r"--format: doccano: .*; prodigy: a \"text\" and one of"):
        read(path)
    assert mentions(read(path, format="doccano")[1][0]) == MENTIONS
    same = jsonl(tmp_path / "same.jsonl", record | {"spans": OBJECTS})
    assert read(same)[0] == "doccano"


def test_the_table_of_formats_is_that_of_the_registry() -> None:
    assert describe_formats() in (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert list(FORMATS) == [format_.name for format_ in FORMATS.values()]


# --- Records that can't be read ---


@pytest.mark.parametrize(
    "odd",
    [
        {"text": TEXT, "mentions": None},
        {"text": None, "mentions": []},
        {"text": "\ud800", "mentions": []},
        5,
        '{"text": "Ada", "text": "Bo", "mentions": []}',
        '{"text": "half',
    ],
)
def test_an_odd_record_is_listed_and_the_others_are_read(odd: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.spacy"
    lines = [json.dumps(GOOD), odd if isinstance(odd, str) else json.dumps(odd), json.dumps(GOOD)]
    source.write_text("\n".join(lines))
    result = run(source, target)
    assert result.exit_code == 3, result.output
    assert [mentions(doc) for doc in docs(target)] == [MENTIONS, MENTIONS]
    (issue,) = map(json.loads, Path(f"{target}.issues.jsonl").read_text().splitlines())
    assert (issue["record"], issue["unreadable"]) == (f"{source}:2", True)
    assert issue["reason"]
    strict = run(source, tmp_path / "strict.spacy", "--strict")
    assert strict.exit_code == 1
    assert f"{source}:2: {issue['reason']}" in strict.stderr.replace("\n", "")
    assert not (tmp_path / "strict.spacy").exists()


def test_a_source_without_a_readable_record_is_refused(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "in.jsonl", {"text": TEXT, "mentions": None})
    result = run(source, tmp_path / "out.spacy")
    assert result.exit_code == 1
    assert 'in.jsonl:1: the field "mentions" is None' in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_a_sentence_with_a_broken_row_is_listed(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Ada B-PER\n\nBo\nwon O\n\nOslo B-LOC\n")
    result = run(tmp_path / "in.txt", tmp_path / "out.spacy")
    assert result.exit_code == 3, result.output
    assert [doc.text.strip() for doc in docs(tmp_path / "out.spacy")] == ["Ada", "Oslo"]
    (line,) = (tmp_path / "out.spacy.issues.jsonl").read_text().splitlines()
    issue = json.loads(line)
    assert issue["record"] == f"{tmp_path / 'in.txt'}:3"
    assert issue["reason"].startswith("1 columns where the first row has 2")


def test_offsets_can_be_written_with_a_point(tmp_path: Path) -> None:
    items = [{"start": 0.0, "end": 3.0, "label": "PER"}, {"start": 0.5, "end": 3, "label": "PER"}]
    path = jsonl(tmp_path / "in.jsonl", *({"text": TEXT, "mentions": [item]} for item in items))
    _, (doc,), (issue,) = read(path, strict=False)
    assert mentions(doc) == MENTIONS[:1]
    assert issue.reason == 'the field "start" is 0.5'


# --- Files that aren't plain text ---


def test_gzip_is_decompressed(tmp_path: Path) -> None:
    for name, text in (("in.jsonl.gz", json.dumps(GOOD)), ("in.txt.gz", "Ada B-PER\nleft O\n")):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
        assert mentions(read(tmp_path / name)[1][0])[0] == ("Ada", "PER")
    (tmp_path / "in.txt.gz").write_bytes(gzip.compress(b"Ada B-PER")[:-9])
    with pytest.raises(InputError, match=r"in\.txt\.gz is not a complete gzip file"):
        read(tmp_path / "in.txt.gz")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("in.xlsx", "in.xlsx is a workbook: save it as CSV"),
        ("in.bin", "in.bin is an archive, not text"),
        ("in.zip", "in.zip contains no file that ends in .json"),
    ],
)
def test_archives_are_no_text(name: str, words: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("a.xml", "x")
    with pytest.raises(InputError, match=words):
        read(tmp_path / name)


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.zip").write_bytes(b"PK no")
    with pytest.raises(InputError, match=r"in\.zip can't be unpacked"):
        read(tmp_path / "in.zip")


def test_archive_that_would_fill_the_disk_is_not_unpacked(tmp_path: Path) -> None:
    """The sizes of its files are what it says of them, before it is read."""
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(1000):
            archive.writestr(f"{number}.txt", "Ada B-PER\n")
            archive.infolist()[-1].file_size = 2**31  # 2 TiB in all
    with pytest.raises(InputError, match=r"in\.zip has 2,147,483,648,000 bytes of files"):
        detect(path)


# --- JSON arrays ---


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("size", [0, 1, 3, 40])
def test_an_array_is_read_item_by_item(size: int, indent: int | None, tmp_path: Path) -> None:
    items = [{"n": i, "text": "x" * (i * CHUNK // 16), "more": [i, None, "]"]} for i in range(size)]
    path = tmp_path / "in.json"
    path.write_text(" \n" + json.dumps(items, indent=indent) + "\n")
    assert [value for _, value in read_json_records(path, None)] == items


@pytest.mark.parametrize(
    "text", ['[{"a": 1}', '[{"a": 1},]', "[{} {}]", '[{"a": 1}] x', '[{"a": 1', "[1,, 2]", "[nope]"]
)
def test_an_array_that_is_broken_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"in\.json.*: not JSON") as error:
        list(read_json_records(path, None))
    assert len(str(error.value).splitlines()) == 1


def test_docbin_is_read_as_it_is(tmp_path: Path) -> None:
    run(jsonl(tmp_path / "in.jsonl", GOOD), tmp_path / "a.spacy")
    run(tmp_path / "a.spacy", tmp_path / "b.spacy")
    assert (tmp_path / "a.spacy").read_bytes() == (tmp_path / "b.spacy").read_bytes()
    assert list(read_docs(tmp_path / "b.spacy", read(tmp_path / "b.spacy")[1][0].vocab))
