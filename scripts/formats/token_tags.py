"""Hugging Face's form of annotated words: rows with `tokens` and `ner_tags`, as JSONL or Parquet
(https://huggingface.co/docs/datasets/about_dataset_features)."""

import json
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from common.console import InputError, first_line, shorten
from corpus.conll import decode_block, detect_scheme
from corpus.rows import Block
from formats.annotated import Annotated, Issue, Span
from formats.json_records import get, read_json_records

TAGS = ("ner_tags", "ner_labels", "tags", "labels", "ner")
DOCUMENT = "document_id"
BESIDE = ("label2id.json", "dataset_info.json", "dataset_infos.json")


class Row(NamedTuple):
    where: str
    words: list[str]
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


def read_token_tags(path: Path, encoding: str | None) -> Iterator[Annotated | Issue]:
    """Read rows of words and labels in any scheme. Labels that are numbers have their names in the
    Parquet file, or in a label2id.json or dataset_info.json beside it. Adjacent rows with the same
    `document_id` are the sentences of a document.

    RAISES (InputError): If there are no names for the numbers, or the labels are illegal.
    """
    rows = list(read_parquet(path) if path.suffix == ".parquet" else read_rows(path, encoding))
    names = find_names(path) if any(isinstance(t, int) for row in rows for t in row.tags) else []
    blocks = [
        Block(number, [[w, t] for w, t in zip(row.words, to_labels(row, names), strict=True)])
        for number, row in enumerate(rows, start=1)
    ]
    scheme = detect_scheme(blocks, str(path))
    numbered = zip(range(len(rows)), rows, blocks, strict=True)
    for _, group in groupby(numbered, lambda i: i[0] if i[1].document is None else i[1].document):
        sentences = [(row, decode_block(block, scheme, str(path))) for _, row, block in group]
        yield join_sentences(sentences)


def join_sentences(sentences: Sequence[tuple[Row, Sequence[Any]]]) -> Annotated:
    """RETURNS (Annotated): A document of sentences, each with its mentions by words."""
    words = [word for row, _ in sentences for word in row.words]
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    mentions, firsts, done = [], [], 0
    for row, found in sentences:
        firsts.append(starts[done])
        for start, end, type_ in found:
            last = done + end - 1
            mentions.append(Span(starts[done + start], starts[last] + len(words[last]), type_))
        done += len(row.words)
    where = sentences[0][0].where
    text = " ".join(words)
    return Annotated(where, text, mentions, words, has_spaces=False, sentence_starts=firsts)


def read_rows(path: Path, encoding: str | None) -> Iterator[Row]:
    for where, record in read_json_records(path, encoding):
        words = get(record, "tokens", list, where)
        yield make_row(where, words, record)


def read_parquet(path: Path) -> Iterator[Row]:
    try:
        records = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} is not a complete Parquet file: {first_line(error)}") from None
    for number, record in enumerate(records, start=1):
        where = f"{path}, row {number}"
        yield make_row(where, get(record, "tokens", list, where), record)


def make_row(where: str, words: list[Any], record: dict[str, Any]) -> Row:
    name = next((name for name in TAGS if name in record), TAGS[0])
    tags = get(record, name, list, where)
    if len(tags) != len(words):
        raise InputError(f"{where}: {len(words)} words and {len(tags)} labels")
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise InputError(f"{where}: the word {shorten(repr(word))} is empty")
    return Row(where, words, tags, record.get(DOCUMENT))


def to_labels(row: Row, names: Sequence[str]) -> list[str]:
    """RETURNS (list[str]): The names of a row's labels."""
    labels = []
    for tag in row.tags:
        if isinstance(tag, int) and not 0 <= tag < len(names):
            raise InputError(
                f"{row.where}: no name for the label {tag}; put a label2id.json beside the file, "
                'such as {"O": 0, "B-PER": 1}'
            )
        labels.append(names[tag] if isinstance(tag, int) else str(tag))
    return labels


def find_names(path: Path) -> list[str]:
    """RETURNS (list[str]): The names of labels by number; empty if there are none."""
    if path.suffix == ".parquet":
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
        names = find_class_names(json.loads(metadata.get(b"huggingface", b"{}")))
        if names:
            return names
    for file in (path.with_name(name) for name in BESIDE):
        if file.is_file():
            return names_from(file)
    return []


def names_from(file: Path) -> list[str]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        if file.name == BESIDE[0]:
            return sorted(value, key=value.__getitem__)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: {shorten(first_line(error))}") from None
    return find_class_names(value)


def find_class_names(value: Any) -> list[str]:
    """RETURNS (list[str]): The names of the ClassLabel of a column of TAGS, anywhere in the
    features of a dataset."""
    if not isinstance(value, dict):
        return []
    for name, item in value.items():
        feature = item.get("feature", item) if isinstance(item, dict) else None
        if name in TAGS and isinstance(feature, dict) and isinstance(feature.get("names"), list):
            return list(map(str, feature["names"]))
        found = find_class_names(item)
        if found:
            return found
    return []
