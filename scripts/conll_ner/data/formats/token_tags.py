"""Hugging Face's form of annotated words: rows with `tokens` and `ner_tags`, as JSONL or Parquet
(https://huggingface.co/docs/datasets/about_dataset_features)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.labels import decode_block, detect_scheme
from conll_ner.data.columns.rows import Block
from conll_ner.data.columns.schemes import find_illegal
from conll_ner.data.encodings import read_text
from conll_ner.data.formats.annotated import Annotated, Issue, Span
from conll_ner.data.formats.json_records import get, parse, read_json_records
from conll_ner.data.mentions import Mention
from conll_ner.data.parquet_rows import open_parquet, read_fields

TAGS = ("ner_tags", "ner_labels", "tags", "labels", "ner")
DOCUMENT = "document_id"
BESIDE = ("label2id.json", "dataset_info.json", "dataset_infos.json")


class Row(NamedTuple):
    where: str
    words: list[str]
    column: str  # of TAGS
    tags: list[Any]
    document: Any  # None: a document of its own


class Decoded(NamedTuple):
    """A row as a sentence.

    unknown (Sequence[int]): Indices of the words whose label is unknown.
    illegal (Sequence[int]): Indices of the words whose label was read as conlleval does.
    """

    row: Row
    mentions: Sequence[Mention]
    unknown: Sequence[int]
    illegal: Sequence[int]


def is_token_tags(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record has words and their labels."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("tokens"), list)
        and all(isinstance(word, str) for word in record["tokens"])
        and any(name in record for name in TAGS)
    )


def read_token_tags(
    path: Path, encoding: str | None, scheme: str = "auto", *, repair: bool = False
) -> Iterator[Annotated | Issue]:
    """Read rows of words and labels. Labels that are numbers have their names in the Parquet file,
    or in a label2id.json or dataset_info.json beside it. Adjacent rows with the same `document_id`
    are the sentences of a document.

    scheme (str): As for column files, "auto" to detect it. Labels "-" are unknown.
    repair (bool): Whether illegal labels are read as conlleval does, and listed.
    RAISES (InputError): If there are no names for the numbers, or the labels are illegal.
    """
    rows = list(read_parquet(path) if path.suffix == ".parquet" else read_rows(path, encoding))
    numbered = next((row for row in rows if any(isinstance(tag, int) for tag in row.tags)), None)
    names = {} if numbered is None else find_names(path, numbered.column)
    blocks = [
        Block(0, [[w, t] for w, t in zip(row.words, to_labels(row, names), strict=True)], row.where)
        for row in rows
    ]
    if scheme == "auto":
        scheme = detect_scheme(blocks, str(path), repair=repair)
    pairs = enumerate(zip(rows, blocks, strict=True))
    for _, group in groupby(
        pairs, lambda i: i[0] if i[1][0].document is None else i[1][0].document
    ):
        yield join_sentences(
            [
                Decoded(
                    row,
                    decode_block(block, scheme, str(path), repair=repair),
                    block.unknown,
                    find_illegal(block.labels, scheme) if repair else (),
                )
                for _, (row, block) in group
            ]
        )


def join_sentences(sentences: Sequence[Decoded]) -> Annotated:
    """RETURNS (Annotated): A document of sentences."""
    words = [word for sentence in sentences for word in sentence.row.words]
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    mentions, firsts, unknown, issues, done = [], [], [], [], 0
    for row, found, unlabelled, illegal in sentences:
        firsts.append(starts[done])
        for start, end, type_ in found:
            last = done + end - 1
            mentions.append(Span(starts[done + start], starts[last] + len(words[last]), type_))
        unknown += [(starts[done + i], starts[done + i + 1] - 1) for i in unlabelled]
        for i in illegal:
            reason = f"illegal label {row.tags[i]}, read as conlleval does"
            issues.append(Issue(row.where, reason, row.words[i], used=row.words[i]))
        done += len(row.words)
    return Annotated(
        sentences[0].row.where,
        " ".join(words),
        mentions,
        words,
        has_spaces=False,
        sentence_starts=firsts,
        unknown=unknown,
        issues=issues,
    )


def read_rows(path: Path, encoding: str | None) -> Iterator[Row]:
    for where, record in read_json_records(path, encoding):
        words = get(record, "tokens", list, where)
        yield make_row(where, words, record)


def read_parquet(path: Path) -> Iterator[Row]:
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
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
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
