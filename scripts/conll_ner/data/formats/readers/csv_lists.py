"""CSV with a sentence in each row and its labels as a list in a cell, as pandas writes lists."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.selection import holds_labels
from conll_ner.data.csv_rows import find_delimiter, read_rows
from conll_ner.data.encodings import open_text
from conll_ner.data.formats.annotated import Annotated, Format, Issue, Reading, Source
from conll_ner.data.formats.readers.huggingface import TAGS, WORDS, read_rows_of_tags

TEXTS = (*WORDS, "sentence", "text")  # columns of the words: lists, or texts with a space between
SINGULAR = {"tag": "tags", "label": "labels", "ner_tag": "ner_tags", "ner tag": "ner_tags"}
MAX_CELL = 1_000_000  # characters


def has_list_cells(source: Source) -> str:
    lines = io.StringIO(source.start)
    records = [record for _, record in read_cells(lines, str(source.path))]
    lists = [value for record in records if isinstance(record, dict) for value in record.values()]
    found = any(isinstance(v, list) and holds_labels(map(str, v)) for v in lists)
    return "a column holds lists of labels" if found else ""


def read_csv_lists(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read rows as those of Hugging Face, once their lists are read.
    RAISES (InputError): As `read_rows_of_tags`."""
    with open_text(path, reading.encoding) as file:
        found = list(read_cells(file, str(path)))
    yield from read_rows_of_tags(found, path, reading)


def read_cells(lines: io.TextIOBase | Any, path: str) -> Iterator[tuple[str, Any]]:
    """YIELDS (tuple[str, Any]): The line of each row, and its words and lists by column; an Issue
    if it can't be read."""
    header = next(iter(lines), "")
    delimiter = find_delimiter(header, ",")
    names = [name.strip().lower() for name in header.rstrip("\r\n").split(delimiter)]
    names = [SINGULAR.get(name.strip('"'), name.strip('"')) for name in names]
    for number, row in read_rows(lines, delimiter):
        where = f"{path}:{number + 1}"
        try:
            if isinstance(row, str) or len(row) != len(names):
                reason = row if isinstance(row, str) else f"{len(row)} columns, not {len(names)}"
                raise InputError(reason)
            yield where, read_record(dict(zip(names, row, strict=True)))
        except InputError as error:
            yield where, Issue(where, str(error), unreadable=True)


def read_record(row: dict[str, str]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name in TEXTS:
        if name in row:
            record["tokens"] = read_list(row[name]) or row[name].split(" ")
            break
    return record | {name: read_list(row[name]) for name in TAGS if name in row}


def read_list(cell: str) -> list[Any]:
    """RETURNS (list[Any]): The list in a cell; empty if it holds none.
    RAISES (InputError): If it has no commas: Python would join the strings."""
    cell = cell.strip()
    if not (cell.startswith("[") and cell.endswith("]")) or len(cell) > MAX_CELL:
        return []
    try:
        values = ast.literal_eval(cell)
        tokens = tokenize.generate_tokens(io.StringIO(cell).readline)
        strings = sum(token.type == tokenize.STRING for token in tokens)
    except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
        return []
    if strings != sum(isinstance(value, str) for value in values):
        raise InputError(f"{shorten(cell)} has no commas, as NumPy prints it: save lists")
    return list(values)


FORMAT = Format("csv-lists", "CSV with a list of labels in a cell", has_list_cells, read_csv_lists)
