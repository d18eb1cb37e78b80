"""What is written is read again: texts, mentions, words and scores."""

import json
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span

from conll_ner.data.formats.annotated import Annotated, Reading
from conll_ner.data.formats.reading import FORMATS, detect
from conll_ner.data.formats.writing import WRITERS, count_lost, write_target
from conll_ner.data.mentions import char_mentions
from tests.conll_ner.data.formats.support import NLP, TEXT, read
from token_ner import ScoredMention
from token_ner.span_scores import keep_scores


def gold(text: str = TEXT) -> Doc:
    doc = NLP(text)
    doc.set_ents([Span(doc, 0, 1, "PER"), Span(doc, 2, 3, "LOC")])
    return doc


def predicted(scores: Sequence[float] = (0.75, 0.5)) -> Doc:
    """A document as the component leaves it."""
    doc = NLP(TEXT)
    found = [ScoredMention(0, 1, "PER", scores[0]), ScoredMention(2, 3, "LOC", scores[1])]
    doc.set_ents(keep_scores(doc, "token_ner", found))
    return doc


VISIBLE = 'aB.-é😀中"\\'
WHITESPACE = " \n\r\t\u2028"
LABELS = ("complete", "partial", "mixed")


@st.composite
def documents(draw: st.DrawFn, known: str = "complete") -> Doc:
    """A document in words of the tokenizer or in others, with unknown spaces or known ones."""
    if draw(st.booleans()):
        doc = NLP(draw(st.text(st.sampled_from(VISIBLE + WHITESPACE), max_size=30)))
    else:
        word = st.text(st.sampled_from(VISIBLE), min_size=1, max_size=3)
        words = draw(st.lists(word | st.sampled_from(WHITESPACE), max_size=8))
        spaces = draw(st.none() | st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
        doc = Doc(NLP.vocab, words=words, spaces=spaces)
    visible = [token.i for token in doc if not token.is_space]
    spans, last = [], -1
    for i in visible:
        if i > last and draw(st.booleans()):
            last = draw(st.sampled_from([j for j in visible if j >= i]))
            spans.append(Span(doc, i, last + 1, draw(st.sampled_from(["PER", "a type", "é"]))))
    free = [doc[i : i + 1] for i in visible if not any(s.start <= i < s.end for s in spans)]
    missing = [span for span in free if known == "mixed" and draw(st.booleans())]
    doc.set_ents(spans, missing=missing, default="missing" if known == "partial" else "outside")
    return doc


@pytest.mark.parametrize("name", WRITERS)
@given(docs=st.lists(documents(), min_size=1, max_size=3))
def test_every_format_keeps_texts_and_mentions(
    name: str, docs: list[Doc], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("out") / "out.json"
    write_target(docs, path, name, "iob2")
    records = list(FORMATS[name].read(path, Reading(NLP)))
    for record, doc in zip(records, docs, strict=True):
        assert isinstance(record, Annotated)
        assert record.text == doc.text
        assert record.mentions == sorted(char_mentions(doc))
        assert not record.issues
        assert record.is_complete


@pytest.mark.parametrize("known", LABELS[:2])
@given(data=st.data())
def test_prodigy_keeps_words_and_unknown_labels(
    known: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    doc = data.draw(documents(known))
    path = tmp_path_factory.mktemp("out") / "out.jsonl"
    write_target([doc], path, "prodigy", "iob2")
    _, docs, issues = read(path)
    if not doc.text.strip():
        assert docs == []
        return
    (found,) = docs
    assert [(t.text, t.idx, t.ent_iob_, t.ent_type_) for t in found if not t.is_space] == [
        (t.text, t.idx, t.ent_iob_, t.ent_type_) for t in doc if not t.is_space
    ]
    assert issues == []


@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data())
def test_unknown_labels_that_a_format_loses_are_counted(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    doc = data.draw(documents(data.draw(st.sampled_from(LABELS))))
    path = tmp_path_factory.mktemp("out") / "out.json"
    write_target([doc], path, name, "iob2")
    (record,) = FORMATS[name].read(path, Reading(NLP))
    assert isinstance(record, Annotated)
    unlabelled = sum(token.ent_iob == 0 for token in doc)
    assert count_lost(doc, name) == (unlabelled if record.is_complete else 0)


def test_a_loss_of_unknown_labels_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doc = gold()
    doc.set_ents(list(doc.ents), missing=[doc[1:2]])
    write_target([doc, gold(), doc], tmp_path / "out.jsonl", "prodigy", "iob2")
    words = "2 words without a label read as no mention, because prodigy has no unknown labels"
    assert words in " ".join(capsys.readouterr().out.split())
    for name in ("prodigy", "spacy", "columns"):
        write_target([doc] if name != "prodigy" else [gold()], tmp_path / "out", name, "iob2")
    assert "read as no mention" not in capsys.readouterr().out


@given(scores=st.lists(st.floats(0, 1), min_size=2, max_size=2))
@pytest.mark.parametrize("name", ["jsonl", "prodigy", "labelstudio"])
def test_scores_are_kept_exactly(
    name: str, scores: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("out") / "out.json"
    write_target([predicted(scores)], path, name, "iob2")
    found = json.loads(path.read_text())
    if name == "labelstudio":
        (prediction,) = found[0]["predictions"]
        assert prediction["score"] == min(scores)
        items = prediction["result"]
    else:
        items = found["mentions" if name == "jsonl" else "spans"]
    assert [item["score"] for item in items] == scores


@pytest.mark.parametrize("name", WRITERS)
def test_documents_are_written_as_they_come(name: str, tmp_path: Path) -> None:
    """So that memory doesn't grow with their number."""
    alive: list[weakref.ref[Doc]] = []

    def make() -> Iterator[Doc]:
        for _ in range(20):
            doc = gold()
            alive.append(weakref.ref(doc))
            yield doc
            del doc
            assert sum(ref() is not None for ref in alive) <= 2

    write_target(make(), tmp_path / "out.json", name, "iob2")
    assert len(list(FORMATS[name].read(tmp_path / "out.json", Reading(NLP)))) == 20


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_found_out_again(name: str, tmp_path: Path) -> None:
    write_target([gold()], tmp_path / "out.json", name, "iob2")
    assert detect(tmp_path / "out.json") == name


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
    nothing.set_ents(keep_scores(nothing, "token_ner", [], spans_key="sc"))
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
