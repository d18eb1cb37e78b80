"""What is written is read again: texts, mentions, words and scores."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span

from formats.aligning import align_all
from formats.detecting import FORMATS, detect
from formats.targets import write_target
from formats.writing import WRITERS
from tests.formats.support import NLP, TEXT
from token_ner import ScoredMention
from token_ner.scores import keep_scores


def gold(text: str = TEXT) -> Doc:
    doc = NLP(text)
    doc.set_ents([Span(doc, 0, 1, "PER"), Span(doc, 2, 3, "LOC")])
    return doc


def predicted() -> Doc:
    """A document as the component leaves it."""
    doc = NLP(TEXT)
    found = [ScoredMention(0, 1, "PER", 0.75), ScoredMention(2, 3, "LOC", 0.5)]
    doc.set_ents(keep_scores(doc, "token_ner", found))
    return doc


@st.composite
def documents(draw: st.DrawFn) -> Doc:
    doc = NLP(draw(st.text(st.sampled_from('aB .\n\r\t-é😀中\u2028"\\'), max_size=30)))
    words = [token.i for token in doc if not token.is_space]
    spans, last = [], -1
    for i in words:
        if i > last and draw(st.booleans()):
            last = draw(st.sampled_from([j for j in words if j >= i]))
            spans.append(doc[i : last + 1])
    types = [draw(st.sampled_from(["PER", "a type", "é"])) for _ in spans]
    doc.set_ents([Span(doc, s.start, s.end, t) for s, t in zip(spans, types, strict=True)])
    return doc


@pytest.mark.parametrize("name", WRITERS)
@given(docs=st.lists(documents(), min_size=1, max_size=3))
def test_every_format_keeps_texts_and_mentions(
    name: str, docs: list[Doc], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("out") / "out.json"
    write_target(docs, path, name, "iob2")
    records = list(FORMATS[name].read(path, None))
    assert [record.text for record in records] == [doc.text for doc in docs]
    found = [doc for doc, _ in align_all(records, NLP.tokenizer, "strict") if doc is not None]
    expected = [doc for doc in docs if doc.text.strip()]
    assert [[(e.start_char, e.end_char, e.label_) for e in doc.ents] for doc in found] == [
        [(e.start_char, e.end_char, e.label_) for e in doc.ents] for doc in expected
    ]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_found_out_again(name: str, tmp_path: Path) -> None:
    write_target([gold()], tmp_path / "out.json", name, "iob2")
    assert detect(tmp_path / "out.json", None) == name


def test_prodigy_tasks_have_words_and_inclusive_ends(tmp_path: Path) -> None:
    write_target([gold()], tmp_path / "out.jsonl", "prodigy", "iob2")
    task = json.loads((tmp_path / "out.jsonl").read_text())
    assert [token["text"] for token in task["tokens"]] == ["Ada", "left", "Oslo", "."]
    assert [token["ws"] for token in task["tokens"]] == [True, True, False, False]
    assert task["spans"] == [
        {"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"},
        {"start": 9, "end": 13, "token_start": 2, "token_end": 2, "label": "LOC"},
    ]


def test_labelstudio_gold_is_an_annotation_and_predictions_have_scores(tmp_path: Path) -> None:
    nothing = NLP("Nobody left.")
    nothing.set_ents(keep_scores(nothing, "token_ner", []))
    write_target([gold(), predicted(), nothing], tmp_path / "out.json", "labelstudio", "iob2")
    first, second, third = json.loads((tmp_path / "out.json").read_text())
    assert [item["value"]["text"] for item in first["annotations"][0]["result"]] == ["Ada", "Oslo"]
    assert "predictions" not in first
    (prediction,) = second["predictions"]
    assert [item["score"] for item in prediction["result"]] == [0.75, 0.5]
    assert prediction["score"] == 0.5
    assert "annotations" not in second
    # Nobody has said that there is no mention in it.
    assert "annotations" not in third
    assert third["predictions"] == [{"result": []}]


def test_scores_are_kept_where_the_format_has_them(tmp_path: Path) -> None:
    for name in ("jsonl", "prodigy"):
        write_target([predicted()], tmp_path / name, name, "iob2")
        record = json.loads((tmp_path / name).read_text())
        spans = record["mentions" if name == "jsonl" else "spans"]
        assert [span["score"] for span in spans] == [0.75, 0.5]


def test_columns_of_a_text_have_sentences_that_keep_mentions_whole(tmp_path: Path) -> None:
    doc = NLP("Ada left  St. Gallen. Oslo\nis\tfar.")
    doc.set_ents([Span(doc, 3, 5, "LOC")])
    write_target([doc], tmp_path / "out.txt", "columns", "bilou")
    rows = (tmp_path / "out.txt").read_text().split("\n\n")
    assert rows[0] == "-DOCSTART- -X- -X- O"
    assert [[line.split()[0] for line in row.split("\n")] for row in rows[1:]] == [
        ["Ada", "left", "St.", "Gallen", "."],
        ["Oslo", "is", "far", "."],
    ]
    assert rows[1].split("\n")[2:4] == ["St. -X- -X- B-LOC", "Gallen -X- -X- L-LOC"]


def test_words_without_a_label_stay_so_in_columns(tmp_path: Path) -> None:
    doc = gold()
    doc.set_ents(list(doc.ents), missing=[doc[1:2]])
    write_target([doc], tmp_path / "out.txt", "columns", "iob2")
    assert "left -X- -X- -\n" in (tmp_path / "out.txt").read_text()
