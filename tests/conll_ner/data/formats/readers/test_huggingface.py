"""Formats with words and labels: spaCy 2's JSON, and Hugging Face's rows."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from conll_ner.common.console import InputError
from conll_ner.data.columns.selection import Columns
from tests.conll_ner.data.formats.support import MENTIONS, TEXT, jsonl, labels, mentions, read

WORDS = ["Ada", "left", "Oslo", "."]
BILUO = ["U-PER", "O", "U-LOC", "-"]
IOB2 = ["B-PER", "O", "B-LOC", "O"]
NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def spacy_json(ner: list[str], raw: str | None) -> dict[str, Any]:
    tokens = [
        {"id": i, "orth": word, "ner": label}
        for i, (word, label) in enumerate(zip(WORDS, ner, strict=True))
    ]
    sentences = [{"tokens": tokens[:2]}, {"tokens": tokens[2:]}]
    return {"id": 0, "paragraphs": [{"raw": raw, "sentences": sentences}]}


def test_spacy_json_with_its_text(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(json.dumps([spacy_json(BILUO, TEXT)], indent=1))
    name, (doc,), issues = read(path)
    assert name == "spacy-json"
    assert doc.text == TEXT
    assert mentions(doc) == MENTIONS
    assert labels(doc) == ["B", "O", "B", "?"]
    assert [token.text for token in doc if token.is_sent_start] == ["Ada", "Oslo"]
    assert issues == []


def test_spacy_json_without_a_label_is_unknown(tmp_path: Path) -> None:
    document = spacy_json(BILUO, TEXT)
    tokens = document["paragraphs"][0]["sentences"][0]["tokens"]
    tokens[0]["ner"] = None
    del tokens[1]["ner"]
    _, (doc,), _ = read(jsonl(tmp_path / "in.json", [document]))
    assert labels(doc) == ["?", "?", "B", "?"]


def test_spacy_json_without_its_text_has_unknown_spaces(tmp_path: Path) -> None:
    _, (doc,), _ = read(jsonl(tmp_path / "in.json", [spacy_json(BILUO, None)]))
    assert [token.text for token in doc] == WORDS
    assert mentions(doc) == MENTIONS
    assert doc.has_unknown_spaces


@pytest.mark.parametrize(
    ("ner", "raw", "words"),
    [
        (["B-PER", "O", "O", "O"], TEXT, "in.json, item 1, paragraph 1, word 2: O after B-PER"),
    ],
)
def test_spacy_json_that_is_wrong(ner: list[str], raw: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(jsonl(tmp_path / "in.json", [spacy_json(ner, raw)]))
    assert words in str(error.value)


def test_spacy_json_with_words_that_its_text_has_not_is_read_by_its_words(tmp_path: Path) -> None:
    """As spaCy 2's own example, whose quotes are `` in the words."""
    record = spacy_json(BILUO, "\u201cAda\u201d left Oslo.")
    _, (doc,), issues = read(jsonl(tmp_path / "in.json", [record]))
    assert mentions(doc) == MENTIONS
    assert doc.has_unknown_spaces
    assert [issue.reason for issue in issues] == [
        "its text isn't used: the word 'Ada' is not next in the text"
    ]


@pytest.mark.parametrize("tags", [IOB2, ["S-PER", "O", "S-LOC", "O"], ["I-PER", "O", "I-LOC", "O"]])
def test_rows_with_names_of_labels_in_any_scheme(tags: list[str], tmp_path: Path) -> None:
    name, (doc,), _ = read(jsonl(tmp_path / "in.jsonl", {"tokens": WORDS, "ner_tags": tags}))
    assert name == "huggingface"
    assert [token.text for token in doc] == WORDS
    assert mentions(doc) == MENTIONS
    assert doc.has_unknown_spaces


def test_rows_with_numbers_and_the_names_beside(tmp_path: Path) -> None:
    numbers = [NAMES.index(label) for label in IOB2]
    path = jsonl(tmp_path / "in.jsonl", {"tokens": WORDS, "ner_tags": numbers})
    with pytest.raises(InputError, match=r"in.jsonl:1: no name for the label 1; put a label2id"):
        read(path)
    label2id = {name: i for i, name in reversed(list(enumerate(NAMES)))}
    (tmp_path / "label2id.json").write_text(json.dumps(label2id))
    assert mentions(read(path)[1][0]) == MENTIONS


@pytest.mark.parametrize(
    "value", ['{"0": "O", "1": "B-PER"}', '["O"]', '{"O": 0, "B-PER": 0}', "{"]
)
def test_names_beside_that_are_wrong_are_one_line(value: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", {"tokens": ["Ada"], "ner_tags": [1]})
    (tmp_path / "label2id.json").write_text(value)
    with pytest.raises(InputError, match=r"label2id\.json") as error:
        read(path)
    assert len(str(error.value).splitlines()) == 1


def test_numbers_without_a_name_are_not_those_of_other_labels(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", {"tokens": ["Ada", "Oslo"], "ner_tags": [3, 2]})
    (tmp_path / "label2id.json").write_text('{"O": 0, "B-PER": 1, "B-LOC": 3}')
    with pytest.raises(InputError, match="no name for the label 2"):
        read(path)


@pytest.mark.parametrize("kind", ["feature", "older"])
def test_names_are_those_of_the_column_that_is_read(kind: str, tmp_path: Path) -> None:
    names = {"names": ["O", "B-PER"], "_type": "ClassLabel"}
    column = {"feature": names, "_type": "List"} if kind == "feature" else [names]
    features = {"labels": {"feature": {"names": ["X", "Y"]}}, "ner_tags": column}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": features}))
    row = {"tokens": ["Ada"], "labels": [0], "ner_tags": [1]}
    path = jsonl(tmp_path / "in.jsonl", row)
    with pytest.raises(InputError, match=r"holds labels \(ner_tags, labels\); .* --label-column"):
        read(path)
    _, (doc,), _ = read(path, columns=Columns(label="ner_tags"))
    assert mentions(doc) == [("Ada", "PER")]


def test_chunks_are_no_rival_and_two_columns_of_labels_are_refused(tmp_path: Path) -> None:
    row = {"tokens": ["Ada", "left"], "tags": ["B-NP", "B-VP"], "ner": ["B-PER", "O"]}
    _, (doc,), _ = read(jsonl(tmp_path / "in.jsonl", row))
    assert mentions(doc) == [("Ada", "PER")]
    path = jsonl(tmp_path / "in.jsonl", row | {"tags": ["B-X", "O"]})
    with pytest.raises(InputError, match=r"more than one column holds labels \(tags, ner\)"):
        read(path)


def test_blank_words_are_left_out(tmp_path: Path) -> None:
    row = {"words": ["Ada", " ", "Lin", ""], "ner": ["B-PER", "I-PER", "I-PER", "O"]}
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", row))
    assert [token.text for token in doc] == ["Ada", "Lin"]
    assert mentions(doc) == [("Ada Lin", "PER")]
    assert issues == []


def test_rows_with_unknown_labels(tmp_path: Path) -> None:
    row = {"tokens": WORDS, "ner_tags": ["B-PER", "-", "B-LOC", "O"], "document_id": 1}
    _, (doc,), _ = read(jsonl(tmp_path / "in.jsonl", row, row))
    assert labels(doc) == ["B", "?", "B", "O"] * 2


def test_scheme_and_repair_are_those_of_column_files(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "io.jsonl", {"tokens": WORDS, "ner_tags": ["PER", "O", "LOC", "O"]})
    _, (doc,), _ = read(path, scheme="io")
    assert mentions(doc) == MENTIONS
    path = jsonl(tmp_path / "in.jsonl", {"tokens": WORDS, "ner_tags": ["B-PER", "O", "I-LOC", "O"]})
    _, (doc,), issues = read(path, repair=True)
    assert mentions(doc) == MENTIONS
    assert [(i.reason, i.text) for i in issues] == [
        ("illegal label I-LOC, read as conlleval does", "Oslo")
    ]


def test_parquet_of_datasets_has_the_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=NAMES)),
        }
    )
    rows = {"id": ["0", "1"], "tokens": [WORDS, WORDS], "ner_tags": [IOB2, IOB2]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    name, docs, _ = read(tmp_path / "train.parquet")
    assert name == "huggingface"
    assert [mentions(doc) for doc in docs] == [MENTIONS, MENTIONS]


def test_rows_of_one_document_are_its_sentences(tmp_path: Path) -> None:
    rows = [{"tokens": WORDS, "ner_tags": IOB2, "document_id": i} for i in (1, 1, 2)]
    _, docs, _ = read(jsonl(tmp_path / "in.jsonl", *rows))
    assert [len(list(doc.sents)) for doc in docs] == [2, 1]
    assert mentions(docs[0]) == MENTIONS * 2


def test_rows_without_a_document_are_documents_of_their_own(tmp_path: Path) -> None:
    rows = [{"tokens": WORDS, "ner_tags": IOB2, "document_id": i} for i in (None, 0, 7, None)]
    _, docs, _ = read(jsonl(tmp_path / "in.jsonl", *rows))
    assert [len(list(doc.sents)) for doc in docs] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"tokens": WORDS, "ner_tags": IOB2[:3]}, "in.jsonl:1: 4 words and 3 labels"),
        ({"tokens": WORDS, "ner_tags": ["O", "O", "O", "PER"]}, "in.jsonl:1, word 4: label 'PER'"),
        ({"tokens": ["Ada"], "ner_tags": [None]}, "in.jsonl:1: None is no label"),
        (
            {"tokens": WORDS, "ner_tags": ["U-A", "O", "S-A", "O"]},
            "word 3: S-A after O is illegal in bilou; and ",
        ),
    ],
)
def test_a_broken_row_is_named(row: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(jsonl(tmp_path / "in.jsonl", row))
    assert words in str(error.value)


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"in.parquet is not a complete Parquet file"):
        read(tmp_path / "in.parquet")


@pytest.mark.parametrize("columns", [Columns(label=2), Columns(word=1)])
def test_columns_of_rows_have_no_numbers(columns: Columns, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", {"tokens": WORDS, "ner_tags": IOB2})
    with pytest.raises(InputError, match="its columns have names: --word-column"):
        read(path, columns=columns)
    row = {"tokens": ["x"], "forms": WORDS, "ner_tags": IOB2}
    _, (doc,), _ = read(jsonl(path, row), columns=Columns(word="forms"))
    assert mentions(doc) == MENTIONS
