"""brat's .ann and .txt files."""

from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import MENTIONS, TEXT, labels, mentions, read


def brat(folder: Path, text: str, annotations: str, name: str = "a") -> Path:
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes(annotations.encode())
    return folder


ANN = "T1\tPER 0 3\tAda\nT2\tLOC 9 13\tOslo\n"


def test_folder_is_read_document_by_document(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    brat(tmp_path / "sub", "Bo won.", "", "b")
    name, docs, issues = read(brat(tmp_path, TEXT, ANN))
    assert name == "brat"
    assert [mentions(doc) for doc in docs] == [MENTIONS, []]
    assert issues == []


def test_one_file_is_read(tmp_path: Path) -> None:
    _, (doc,), _ = read(brat(tmp_path, TEXT, ANN) / "a.ann")
    assert mentions(doc) == MENTIONS


def test_relations_events_attributes_and_notes_are_ignored(tmp_path: Path) -> None:
    others = "R1\tlives Arg1:T1 Arg2:T2\nE1\tMove:T2\nA1\tNegated T1\n"
    others += "#1\tAnnotatorNotes T1\tx\n*\tEq T1 T2\n"
    _, (doc,), issues = read(brat(tmp_path, TEXT, ANN + others))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_mentions_in_several_parts_are_listed(tmp_path: Path) -> None:
    _, (doc,), issues = read(brat(tmp_path, TEXT, "T1\tPER 0 3;9 13\tAda Oslo\n"))
    assert labels(doc) == ["?", "O", "?", "O"]
    assert [(i.reason, i.text, i.start, i.end) for i in issues] == [
        ("in several parts", "Ada Oslo", 0, 13)
    ]


def test_parts_can_be_in_any_order(tmp_path: Path) -> None:
    _, (doc,), issues = read(brat(tmp_path, TEXT, "T1\tPER 9 13;0 3\tOslo Ada\n"))
    assert labels(doc) == ["?", "O", "?", "O"]
    assert [(i.reason, i.start, i.end) for i in issues] == [("in several parts", 0, 13)]


def test_only_line_feeds_end_an_annotation(tmp_path: Path) -> None:
    text = "Ada\u2028Lin left."
    _, (doc,), issues = read(brat(tmp_path, text, "T1\tPER 0 7\tAda\u2028Lin\r\n"))
    assert mentions(doc) == [("Ada\u2028Lin", "PER")]
    assert issues == []


def test_a_mention_over_a_line_feed_has_two_parts(tmp_path: Path) -> None:
    text = "Ada\nLin left."
    _, (doc,), issues = read(brat(tmp_path, text, "T1\tPER 0 3;4 7\tAda Lin\n"))
    assert mentions(doc) == [("Ada\nLin", "PER")]
    assert issues == []


@pytest.mark.parametrize(("start", "end"), [(9, 13), (10, 14)])
def test_crlf_counts_as_one_or_two_characters(start: int, end: int, tmp_path: Path) -> None:
    """As the stated text shows: brat counts one, other writers two."""
    ann = f"T1\tPER 0 3\tAda\nT2\tLOC {start} {end}\tOslo\n"
    _, (doc,), issues = read(brat(tmp_path, "Ada left\r\nOslo.", ann))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_a_text_that_is_not_the_stated_one_is_listed(tmp_path: Path) -> None:
    _, (doc,), issues = read(brat(tmp_path, TEXT, "T1\tPER 4 8\tAda\n"))
    assert labels(doc) == ["?", "?", "O", "O"]  # also where the stated text is
    assert [issue.reason for issue in issues] == ["its text is not the stated one: Ada"]


@pytest.mark.parametrize("line", ["T1\tPER 0\tAda", "T1 PER 0 3 Ada", "T1\tPER x 3\tAda"])
def test_a_broken_line_is_named(line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.ann:2: no mention: 'T1"):
        read(brat(tmp_path, TEXT, "T0\tPER 0 3\tAda\n" + line))


def test_a_missing_text_is_named(tmp_path: Path) -> None:
    brat(tmp_path, TEXT, ANN)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(InputError, match=r"a\.ann: its text, a\.txt, is missing"):
        read(tmp_path)
