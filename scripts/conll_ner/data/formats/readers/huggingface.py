"""Hugging Face's form of annotated words: rows with `tokens` and `ner_tags`, as JSONL or Parquet
(https://huggingface.co/docs/datasets/about_dataset_features)."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.conll import make_sentence
from conll_ner.data.columns.decoding import decode_blocks
from conll_ner.data.columns.rows import Block
from conll_ner.data.columns.selection import holds_labels
from conll_ner.data.encodings import read_text
from conll_ner.data.formats.annotated import Annotated, Issue, Reading
from conll_ner.data.formats.json_records import PARQUET, get, iterate_records, json_format, parse
from conll_ner.data.formats.words import from_sentences

WORDS = ("tokens", "words")
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
    return isinstance(record, dict) and any(
        isinstance(record.get(name), list)
        and all(isinstance(word, str) for word in record[name])
        and find_columns(record)
        for name in WORDS
    )


def find_columns(record: dict[str, Any]) -> list[str]:
    """RETURNS (list[str]): The columns that could hold labels: those of TAGS with a list of numbers
    or strings, but not of strings that are labels of something else."""
    found = []
    for name in TAGS:
        tags = record.get(name)
        if isinstance(tags, list) and not any(isinstance(tag, list | dict) for tag in tags):
            found.append(name)
    return found


def read_token_tags(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read a file of rows of words and labels. Raises as `read_rows_of_tags`."""
    yield from read_rows_of_tags(list(iterate_records(path, reading.encoding)), path, reading)


def read_rows_of_tags(
    found: list[tuple[str, Any]], path: Path, reading: Reading
) -> Iterator[Annotated | Issue]:
    """Read rows of words and labels. Labels that are numbers have their names in the Parquet file,
    or in a label2id.json or dataset_info.json beside it. Adjacent rows with the same `document_id`
    are the sentences of a document. Labels "-" are unknown. Blank words are left out.

    found (list[tuple[str, Any]]): The place and value of each row; an Issue if it can't be read.
    RAISES (InputError): If several columns hold labels, there are no names for the numbers, or most
        of the labels are illegal.
    """
    column = choose_column([r for _, r in found if isinstance(r, dict)], reading, path)
    is_numbered = any(isinstance(t, int) for _, r in found for t in list_tags(r, column))
    names = find_names(path, column) if is_numbered else {}
    rows: list[Row] = []
    for where, record in found:
        try:
            rows.append(make_row(where, record, column, reading, names))
        except InputError as error:
            yield Issue(where, str(error).removeprefix(f"{where}: "), unreadable=True)
    blocks = [
        Block(0, [list(pair) for pair in zip(row.words, row.tags, strict=True)], row.where)
        for row in rows
    ]
    _, mentions, illegal = decode_blocks(blocks, reading.scheme, str(path), repair=reading.repair)
    yield from (Issue(*block.problem, unreadable=True) for block in blocks if block.problem)
    documents = [("row", i) if row.document is None else row.document for i, row in enumerate(rows)]
    for _, group in groupby(range(len(rows)), documents.__getitem__):
        numbers = [i for i in group if not blocks[i].problem]
        issues = []
        for i in numbers:
            for j in illegal[i]:
                reason = f"illegal label {rows[i].tags[j]}, read as conlleval does"
                word = rows[i].words[j]
                issues.append(Issue(rows[i].where, reason, word, used=word))
        sentences = [make_sentence(blocks[i], mentions[i]) for i in numbers if blocks[i].rows]
        if numbers:
            yield from_sentences(rows[numbers[0]].where, sentences, issues)


def choose_column(records: list[dict[str, Any]], reading: Reading, path: Path) -> str:
    """RETURNS (str): The column of the labels.
    RAISES (InputError): If it isn't certain which one it is."""
    chosen = reading.columns.label
    if isinstance(chosen, int) or isinstance(reading.columns.word, int):
        raise InputError(f"{path}: its columns have names: --word-column, --label-column NAME")
    if isinstance(chosen, str):
        return chosen
    names = list(dict.fromkeys(name for record in records for name in find_columns(record)))
    rivals = [name for name in names if can_hold_labels(name, records)] or names or [TAGS[0]]
    if len(rivals) > 1:
        raise InputError(
            f"{path}: more than one column holds labels ({', '.join(rivals)}); name the one to "
            f"read, e.g. --label-column {rivals[0]}"
        )
    return rivals[0]


def can_hold_labels(name: str, records: list[dict[str, Any]]) -> bool:
    """RETURNS (bool): Whether values of a column could be labels of mentions: numbers, or strings
    that aren't those of chunks, for example."""
    tags = {tag for record in records for tag in list_tags(record, name)}
    return any(isinstance(tag, int) for tag in tags) or holds_labels(map(str, tags))


def list_tags(record: Any, column: str) -> list[int | str]:
    tags = record.get(column) if isinstance(record, dict) else None
    return [tag for tag in tags if not is_other(tag)] if isinstance(tags, list) else []


def is_other(tag: Any) -> bool:
    return not isinstance(tag, int | str)


def make_row(
    where: str, record: Any, column: str, reading: Reading, names: Mapping[int, str]
) -> Row:
    if isinstance(record, Issue):
        raise InputError(record.reason)
    chosen = reading.columns.word
    name = chosen if isinstance(chosen, str) else WORDS[0]
    if chosen is None and isinstance(record, dict):
        name = next((other for other in WORDS if other in record), name)
    words, tags = get(record, name, list, where), get(record, column, list, where)
    if len(tags) != len(words):
        raise InputError(f"{where}: {len(words)} words and {len(tags)} labels")
    for word in words:
        if not isinstance(word, str):
            raise InputError(f"{where}: {shorten(repr(word))} is no word")
    return Row(where, words, to_labels(tags, names, where), record.get(DOCUMENT))


def to_labels(tags: list[Any], names: Mapping[int, str], where: str) -> list[str]:
    """RETURNS (list[str]): The names of a row's labels."""
    labels = []
    for tag in tags:
        if isinstance(tag, int) and tag not in names:
            raise InputError(
                f"{where}: no name for the label {tag}; put a label2id.json beside the file, "
                'such as {"O": 0, "B-PER": 1}'
            )
        if is_other(tag):
            raise InputError(f"{where}: {shorten(repr(tag))} is no label")
        labels.append(names[tag] if isinstance(tag, int) else tag)
    return labels


def find_names(path: Path, column: str) -> dict[int, str]:
    """RETURNS (dict[int, str]): The names of a column's labels by number; empty if there are
    none."""
    if path.suffix == PARQUET:
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


FORMAT = json_format(
    "huggingface",
    "Hugging Face's `tokens` (or `words`) and `ner_tags`, Parquet or JSONL",
    'lists of words and labels ("tokens", "ner_tags")',
    is_token_tags,
    read_token_tags,
)
