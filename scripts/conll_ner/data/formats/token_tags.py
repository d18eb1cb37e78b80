"""Hugging Face's form of annotated words: rows with `tokens` and `ner_tags`, as JSONL or Parquet
(https://huggingface.co/docs/datasets/about_dataset_features)."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.conll import Document, Sentence
from conll_ner.data.columns.decoding import decode_blocks
from conll_ner.data.columns.rows import Block
from conll_ner.data.encodings import read_text
from conll_ner.data.formats.annotated import NO_WORDS, Issue, Reading
from conll_ner.data.formats.json_records import get, parse, read_json_records
from conll_ner.data.mentions import Mention

TAGS = ("ner_tags", "ner_labels", "tags", "labels", "ner")
DOCUMENT = "document_id"
BESIDE = ("label2id.json", "dataset_info.json", "dataset_infos.json")


class Row(NamedTuple):
    where: str
    words: list[str]
    column: str  # of TAGS
    tags: list[Any]
    document: Any  # None: a document of its own


def is_token_tags(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record has words and their labels."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("tokens"), list)
        and all(isinstance(word, str) for word in record["tokens"])
        and any(name in record for name in TAGS)
    )


def read_token_tags(path: Path, reading: Reading) -> Iterator[Document | Issue]:
    """Read rows of words and labels. Labels that are numbers have their names in the Parquet file,
    or in a label2id.json or dataset_info.json beside it. Adjacent rows with the same `document_id`
    are the sentences of a document. Labels "-" are unknown.

    RAISES (InputError): If there are no names for the numbers, or the labels are illegal.
    """
    is_parquet = path.suffix == ".parquet"
    rows = list(read_parquet(path) if is_parquet else read_rows(path, reading.encoding))
    numbered = next((row for row in rows if any(isinstance(tag, int) for tag in row.tags)), None)
    names = {} if numbered is None else find_names(path, numbered.column)
    blocks = [
        Block(0, [[w, t] for w, t in zip(row.words, to_labels(row, names), strict=True)], row.where)
        for row in rows
    ]
    _, mentions, illegal = decode_blocks(blocks, reading.scheme, str(path), repair=reading.repair)
    documents = [("row", i) if row.document is None else row.document for i, row in enumerate(rows)]
    for _, group in groupby(range(len(rows)), documents.__getitem__):
        numbers = list(group)
        for i in numbers:
            for j in illegal[i]:
                reason = f"illegal label {rows[i].tags[j]}, read as conlleval does"
                word = rows[i].words[j]
                yield Issue(rows[i].where, reason, word, used=word)
        if any(rows[i].words for i in numbers):
            yield Document([make_sentence(rows[i], mentions[i], blocks[i]) for i in numbers])
        else:
            yield Issue(rows[numbers[0]].where, NO_WORDS, "")


def make_sentence(row: Row, mentions: list[Mention], block: Block) -> Sentence:
    none = [""] * len(row.words)
    return Sentence(row.words, none, none, none, mentions, block.unknown)


def read_rows(path: Path, encoding: str | None) -> Iterator[Row]:
    for where, record in read_json_records(path, encoding):
        words = get(record, "tokens", list, where)
        yield make_row(where, words, record)


def read_parquet(path: Path) -> Iterator[Row]:
    from conll_ner.data.parquet_rows import open_parquet, read_fields  # others do without pyarrow

    with open_parquet(path) as table:
        for number, record in enumerate(read_fields(table, path), start=1):
            where = f"{path}, row {number}"
            if isinstance(record, str):
                raise InputError(f"{where}: {record}")
            yield make_row(where, get(record, "tokens", list, where), record)


def make_row(where: str, words: list[Any], record: dict[str, Any]) -> Row:
    name = next((name for name in TAGS if name in record), TAGS[0])
    tags = get(record, name, list, where)
    if len(tags) != len(words):
        raise InputError(f"{where}: {len(words)} words and {len(tags)} labels")
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise InputError(f"{where}: the word {shorten(repr(word))} is empty")
    return Row(where, words, name, tags, record.get(DOCUMENT))


def to_labels(row: Row, names: Mapping[int, str]) -> list[str]:
    """RETURNS (list[str]): The names of a row's labels."""
    labels = []
    for tag in row.tags:
        if isinstance(tag, int) and tag not in names:
            raise InputError(
                f"{row.where}: no name for the label {tag}; put a label2id.json beside the file, "
                'such as {"O": 0, "B-PER": 1}'
            )
        if not isinstance(tag, int | str):
            raise InputError(f"{row.where}: {shorten(repr(tag))} is no label")
        labels.append(names[tag] if isinstance(tag, int) else tag)
    return labels


def find_names(path: Path, column: str) -> dict[int, str]:
    """RETURNS (dict[int, str]): The names of a column's labels by number; empty if there are
    none."""
    if path.suffix == ".parquet":
        from pyarrow.parquet import read_schema

        metadata = read_schema(path).metadata or {}
        features = parse(metadata.get(b"huggingface", b"{}").decode(), f"{path}, metadata")
        names = find_class_names(features, column)
        if names:
            return names
    for file in (path.with_name(name) for name in BESIDE):
        if file.is_file():
            value = parse(read_text(file, None), str(file))
            return (
                invert(value, file) if file.name == BESIDE[0] else find_class_names(value, column)
            )
    return {}


def invert(label2id: Any, file: Path) -> dict[int, str]:
    """RETURNS (dict[int, str]): The names by number.
    RAISES (InputError): If the file has anything else than a number for each name."""
    numbers = list(label2id.values()) if isinstance(label2id, dict) else [None]
    if not all(type(number) is int for number in numbers) or len({*numbers}) < len(numbers):
        raise InputError(f'{file} doesn\'t number the labels, such as {{"O": 0, "B-PER": 1}}')
    return {number: name for name, number in label2id.items()}


def find_class_names(value: Any, column: str) -> dict[int, str]:
    """RETURNS (dict[int, str]): The names of the ClassLabel of a column, anywhere in the features
    of a dataset. Lists are {"feature": …}, or […] in older versions of datasets."""
    if not isinstance(value, dict):
        return {}
    for name, item in value.items():
        feature = item.get("feature", item) if isinstance(item, dict) else item
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        if name == column and isinstance(feature, dict) and isinstance(feature.get("names"), list):
            return dict(enumerate(map(str, feature["names"])))
        found = find_class_names(item, column)
        if found:
            return found
    return {}
