"""Every output format: writing, joining parts, reading back."""

import csv
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span

from conll_ner.common.console import InputError
from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.mentions import list_mentions
from conll_ner.prediction.outputs import FORMATS
from token_ner import ScoredMention
from token_ner.span_scores import keep_scores

NLP = spacy.blank("en")
TEXTS = ["Ada Lindqvist left Varnholm.", "", "Nothing here.", "Ada\nLindqvist & <b>Norden</b>"]


def annotated(text: str) -> Doc:
    """A document in which names are mentions with a score of 0.5."""
    doc = NLP(text)
    names = re.finditer(r"Ada\s+Lindqvist|Varnholm|<b>", text)
    spans = [doc.char_span(*m.span(), "PER", alignment_mode="expand") for m in names]
    doc.ents = [span for span in spans if span is not None]
    found = [ScoredMention(ent.start, ent.end, ent.label_, 0.5) for ent in doc.ents]
    keep_scores(doc, "token_ner", found)
    return doc


DOCS = [annotated(text) for text in TEXTS]
RECORDS = [
    Annotated(f"a.txt:{i}", text, fields={"id": i, "who": None}) for i, text in enumerate(TEXTS)
]


def write(suffix: str, folder: Path, cuts: Sequence[int] = (2,)) -> Path:
    """Write records and documents in parts, and join them."""
    bounds = [0, *cuts, len(DOCS)]
    parts = []
    for start, end in pairwise(bounds):
        parts.append(folder / f"{start}{suffix}")
        FORMATS[suffix].write(RECORDS[start:end], DOCS[start:end], parts[-1])
    FORMATS[suffix].join(parts, folder / f"all{suffix}")
    return folder / f"all{suffix}"


def test_mentions_have_text_label_score_and_characters() -> None:
    assert list_mentions(DOCS[0]) == [
        {"text": "Ada Lindqvist", "label": "PER", "score": 0.5, "start": 0, "end": 13},
        {"text": "Varnholm", "label": "PER", "score": 0.5, "start": 19, "end": 27},
    ]
    for doc in DOCS:
        for mention in list_mentions(doc):
            assert doc.text[mention["start"] : mention["end"]] == mention["text"]


def test_mentions_of_a_pipeline_without_scores() -> None:
    doc = NLP("Ada")
    doc.ents = [Span(doc, 0, 1, "PER")]
    assert list_mentions(doc)[0]["score"] is None


def test_jsonl_has_fields_text_and_mentions(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in write(".jsonl", tmp_path).read_text().splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    assert [row["id"] for row in rows] == [0, 1, 2, 3]
    assert [row["mentions"] for row in rows] == [list_mentions(doc) for doc in DOCS]


def test_parquet_has_fields_text_and_mentions(tmp_path: Path) -> None:
    rows = pyarrow.parquet.read_table(write(".parquet", tmp_path)).to_pylist()
    assert [row["text"] for row in rows] == TEXTS
    assert [row["mentions"] for row in rows] == [list_mentions(doc) for doc in DOCS]
    assert list(rows[0]) == ["id", "who", "text", "mentions"]


def test_parquet_join_has_the_columns_of_all_parts(tmp_path: Path) -> None:
    fields: list[dict[str, Any]] = [{"a": None, "b": 1}, {"a": "x", "c": 0.5}, {"b": 2.5}]
    parts = []
    for i, values in enumerate(fields):
        parts.append(tmp_path / f"{i}.parquet")
        FORMATS[".parquet"].write([Annotated("x:1", "", fields=values)], [NLP("")], parts[-1])
    FORMATS[".parquet"].join(parts, tmp_path / "all.parquet")
    rows = pyarrow.parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert [{name: row[name] for name in "abc"} for row in rows] == [
        {"a": None, "b": 1.0, "c": None},
        {"a": "x", "b": None, "c": 0.5},
        {"a": None, "b": 2.5, "c": None},
    ]


def test_parquet_columns_of_different_types_are_an_error(tmp_path: Path) -> None:
    records = [Annotated("x:1", "", fields={"a": value}) for value in (1, "x")]
    write = FORMATS[".parquet"].write
    with pytest.raises(InputError, match='the field "a" has values of different types'):
        write(records, [NLP(""), NLP("")], tmp_path / "a.parquet")
    for i, record in enumerate(records):
        write([record], [NLP("")], tmp_path / f"{i}.parquet")
    parts = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    with pytest.raises(
        InputError, match=r"a column has different types in different parts .* write \.jsonl"
    ):
        FORMATS[".parquet"].join(parts, tmp_path / "all.parquet")


@pytest.mark.parametrize(
    ("values", "fit"),
    [
        ([2**63 - 1, None], True),
        ([Decimal("0.1234567890123456789"), Decimal("1e5")], True),
        ([Decimal("0.1234567890123456789"), 0.5], False),  # Arrow would round one to a float
        ([Decimal("0.1234567890123456789"), 1], False),
        ([Decimal("1e999"), None], False),
        ([2**63, None], False),
        ([2**53 + 1, 0.5], False),
        ([{"b": [2**63]}, None], False),
        ([{"b": Decimal("0.1234567890123456789")}, {"b": 0.5}], False),
        ([{}, None], False),
    ],
)
@pytest.mark.parametrize("cuts", [[0, 2], [0, 1, 2]])
def test_parquet_contains_the_values_or_nothing(
    values: list[Any], fit: bool, cuts: list[int], tmp_path: Path
) -> None:
    """Written in one part, and joined from two."""

    def write_and_join() -> list[Any]:
        parts = []
        for start, end in pairwise(cuts):
            records = [Annotated("x:1", "", fields={"a": value}) for value in values[start:end]]
            parts.append(tmp_path / f"{start}.parquet")
            FORMATS[".parquet"].write(records, [NLP("") for _ in records], parts[-1])
        FORMATS[".parquet"].join(parts, tmp_path / "all.parquet")
        found: list[Any] = pyarrow.parquet.read_table(tmp_path / "all.parquet")["a"].to_pylist()
        return found

    if fit:
        assert write_and_join() == values
        return
    with pytest.raises(InputError) as error:
        write_and_join()
    assert re.search("""(field|type) ["']a.* write .jsonl instead$""", str(error.value))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("suffix", "record", "reason"),
    [
        (".conll", Annotated("x:1", "a -DOCSTART- b", fields={}), "the text contains -DOCSTART-"),
        (".conll", Annotated("x:1", "a", fields={"a": "-DOCSTART-"}), ""),
        (".jsonl", Annotated("x:1", "a -DOCSTART- b", fields={}), ""),
        (
            ".jsonl",
            Annotated("x:1", "", fields={"b": [float("nan")]}),
            'the field "b" is NaN or',
        ),
        (".parquet", Annotated("x:1", "", fields={"b": float("nan")}), ""),
        (".html", Annotated("x:1", "-DOCSTART-", fields={"b": float("nan")}), ""),
        (".spacy", Annotated("x:1", "-DOCSTART-", fields={"b": float("nan")}), ""),
    ],
)
def test_formats_say_which_records_they_cannot_contain(
    suffix: str, record: Annotated, reason: str
) -> None:
    found = FORMATS[suffix].problem(record)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_conll_is_read_back(tmp_path: Path) -> None:
    """Whitespace tokens and empty documents are left out."""
    documents = read_corpus(write(".conll", tmp_path, cuts=(1, 2, 3))).documents
    found = [
        [(sentence.words, sentence.mentions) for sentence in document.sentences]
        for document in documents
    ]
    words = [[token.text for token in doc if not token.is_space] for doc in DOCS if len(doc)]
    assert [sentences[0][0] for sentences in found] == words
    spans = [[(m.start, m.end, m.label) for m in sentences[0][1]] for sentences in found]
    # "Ada" and "Lindqvist", without the line break between them.
    assert spans[0] == [(0, 2, "PER"), (3, 4, "PER")]
    assert spans[1] == []
    assert spans[2][0] == (0, 2, "PER")


def test_docbin_keeps_mentions_and_scores(tmp_path: Path) -> None:
    docs = list(DocBin().from_disk(write(".spacy", tmp_path)).get_docs(NLP.vocab))
    assert [doc.text for doc in docs] == TEXTS
    assert [list_mentions(doc) for doc in docs] == [list_mentions(doc) for doc in DOCS]


def test_html_escapes_texts_and_labels(tmp_path: Path) -> None:
    page = write(".html", tmp_path).read_text()
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert page.count("<p>") == len(DOCS)
    assert "Ada Lindqvist <b>PER</b>" in page
    assert 'title="0.500"' in page
    body = page.split("<body>")[1]
    assert "<b>Norden" not in body
    assert "&lt;b&gt;" in body
    assert "&amp;" in body


@pytest.mark.parametrize("suffix", [".jsonl", ".conll", ".html", ".spacy"])
def test_output_does_not_depend_on_parts(suffix: str, tmp_path: Path) -> None:
    for name, cuts in (("a", ()), ("b", (1, 3))):
        (tmp_path / name).mkdir()
        write(suffix, tmp_path / name, cuts)
    a, b = ((tmp_path / name / f"all{suffix}").read_bytes() for name in "ab")
    assert a == b


@pytest.mark.parametrize("suffix", FORMATS)
def test_output_without_documents(suffix: str, tmp_path: Path) -> None:
    FORMATS[suffix].write([], [], tmp_path / f"0{suffix}")
    FORMATS[suffix].join([tmp_path / f"0{suffix}"], tmp_path / f"all{suffix}")
    assert (tmp_path / f"all{suffix}").is_file()


def test_csv_has_a_row_for_each_mention_and_no_formula(tmp_path: Path) -> None:
    texts = ["=Ada left.", '-Oslo, "x"\nis far', "Nothing."]
    bounds = [(0, 4, "PER"), (0, 10, "@LOC"), None]
    docs = []
    for text, bound in zip(texts, bounds, strict=True):
        doc = Doc(NLP.vocab, words=[text], spaces=[False])
        if bound is not None:
            doc = Doc(NLP.vocab, words=[text[: bound[1]], text[bound[1] :]], spaces=[False] * 2)
            doc.set_ents([Span(doc, 0, 1, bound[2])])
        docs.append(doc)
    parts = [tmp_path / name for name in ("0.csv", "1.csv")]
    records = [Annotated(f"+a.txt:{i}", text) for i, text in enumerate(texts, start=1)]
    FORMATS[".csv"].write(records[:1], docs[:1], parts[0])
    FORMATS[".csv"].write(records[1:], docs[1:], parts[1])
    FORMATS[".csv"].join(parts, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["record", "start", "end", "label", "score", "text"],
        ["'+a.txt:1", "0", "4", "PER", "", "'=Ada"],
        ["'+a.txt:2", "0", "10", "'@LOC", "", '\'-Oslo, "x"\n'[:11]],
    ]
