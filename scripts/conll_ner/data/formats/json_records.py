"""Read JSON records: the lines of JSONL, the items of a JSON array, or the rows of Parquet."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from conll_ner.common.console import InputError, shorten
from conll_ner.common.exact_json import DECODER, MAX_DEPTH, load_json
from conll_ner.data.csv_rows import HAS_NUL
from conll_ner.data.encodings import open_text
from conll_ner.data.formats.annotated import (
    Annotated,
    Format,
    Issue,
    Reader,
    Reading,
    Source,
    attempt,
)

START = 4096  # characters
FIRST = 10  # records that show the format
CHUNK = 1 << 16  # characters of an array that are read at once
PARQUET = ".parquet"
END = object()
OPEN = ("{", "[", ",", ":")  # how a line ends whose value goes on
ReadRecord = Callable[[str, Any], Iterable[Annotated | Issue]]


def json_format(
    name: str,
    shown: str,
    why: str,
    matches: Callable[[Any], bool],
    read: Reader,
    *,
    is_general: bool = False,
) -> Format:
    """RETURNS (Format): A format whose files are JSON.

    why (str): What one of its records has.
    matches (Callable): Whether a JSON value is one of its records.
    """

    def recognise(source: Source) -> str:
        return why if any(map(matches, source.records)) else ""

    return Format(name, shown, recognise, read, is_general)


def each_record(read: ReadRecord) -> Reader:
    """RETURNS (Reader): Reads JSON records one by one.

    read (Callable): Reads the record at a place. Raises InputError if it can't.
    """

    def reader(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
        return read_each(path, reading, read)

    return reader


def read_each(path: Path, reading: Reading, read: ReadRecord) -> Iterator[Annotated | Issue]:
    for where, value in iterate_records(path, reading.encoding):
        yield from attempt(where, value, read)


def read_json_records(path: Path, encoding: str | None) -> Iterator[tuple[str, Any]]:
    """As `iterate_records`.
    RAISES (InputError): At a record that can't be decoded, too."""
    for where, value in iterate_records(path, encoding):
        if isinstance(value, Issue):
            raise InputError(f"{where}: {value.reason}")
        yield where, value


def iterate_records(path: Path, encoding: str | None) -> Iterator[tuple[str, Any]]:
    """Read the values of a file one by one, in constant memory: of JSONL one per line, the items of
    a JSON array, the rows of a Parquet file as objects; otherwise the one value that the file
    holds.

    YIELDS (tuple[str, Any]): The record's place for messages, FILE:LINE, "FILE, item N" or "FILE,
        row N", and its value; an Issue if it can't be decoded.
    RAISES (InputError): If a text file has another encoding, or another file is broken.
    """
    if path.suffix == PARQUET:
        from conll_ner.data.parquet_rows import open_parquet, read_fields  # pyarrow is an extra

        with open_parquet(path) as table:
            for number, row in enumerate(read_fields(table, path), start=1):
                where = f"{path}, row {number}"
                yield where, Issue(where, row, unreadable=True) if isinstance(row, str) else row
        return
    with open_text(path, encoding) as file:
        yield from parse_records(file, path)


def look(path: Path, encoding: str | None) -> Source:
    """RETURNS (Source): What shows a file's format.
    RAISES (InputError): If it has another encoding."""
    if path.suffix == PARQUET:
        return Source(path, "", [value for _, value in islice(iterate_records(path, None), FIRST)])
    with open_text(path, encoding) as file:
        start = file.read(START).lstrip()
        records: list[Any] = []
        if start[:1] in ("{", "["):
            file.seek(0)
            with suppress(InputError):
                records += (value for _, value in islice(parse_records(file, path), FIRST))
    return Source(path, start, [value for value in records if not isinstance(value, Issue)])


def parse_records(file: TextIO, path: Path) -> Iterator[tuple[str, Any]]:
    """As `iterate_records`, of an open file, which is read once, from its start to its end."""
    lines = ((n, line) for n, line in enumerate(file, start=1) if line.strip())
    number, first = next(lines, (0, ""))
    if not first:
        return
    if is_record(first):
        for n, line in chain([(number, first)], lines):
            yield parse_line(line, f"{path}:{n}")
    elif first.lstrip().startswith("["):
        for count, item in enumerate(parse_array(first, number, file, path), start=1):
            where = f"{path}, item {count}"
            if isinstance(item, Issue):
                where = item.record or where
                item = item._replace(record=where)
            yield where, item
    else:
        yield parse_line(first + file.read(), str(path))


def is_record(line: str) -> bool:
    """RETURNS (bool): Whether the first line is a record by itself: an object, or an array such as
    ["a text", {"entities": []}], but not an array of records."""
    if "\0" in line:  # UTF-16, line by line
        return True
    try:
        value = load_json(line)
    except ValueError:
        # The first line of a value over several lines, rather than a broken line of JSONL.
        return not line.lstrip().startswith("[") and not line.rstrip().endswith(OPEN)
    return not isinstance(value, list) or (bool(value) and isinstance(value[0], str))


def parse_line(line: str, where: str) -> tuple[str, Any]:
    if "\0" in line:
        return where, Issue(where, HAS_NUL, unreadable=True)
    try:
        return where, load_json(line.strip())
    except ValueError as error:
        return where, Issue(where, shorten(str(error), 200), shorten(line), unreadable=True)


def parse_array(text: str, line: int, file: TextIO, path: Path) -> Iterator[Any]:
    """YIELDS (Any): The items of the array that a file holds; an Issue for one that isn't exact,
    and at the end if the array is broken.

    text (str): The line of the file that the array starts in; its number is `line`.
    """
    size, is_first = CHUNK, True
    place = text.index("[") + 1
    while True:
        try:
            item, end = parse_item(text, place, is_first=is_first)
            is_last = text[end] == "]"
        except (IndexError, json.JSONDecodeError) as error:  # perhaps as the item goes on
            more = file.read(size)
            line += text.count("\n", 0, place)
            text, place, size = text[place:] + more, 0, size * 2
            if more:
                continue
            what = error.msg if isinstance(error, json.JSONDecodeError) else "the array has no end"
            yield Issue(f"{path}:{line}", f"not JSON: {what}", unreadable=True)
            return
        except RecursionError:
            yield Issue(str(path), f"nested more than {MAX_DEPTH} levels deep", unreadable=True)
            return
        if item is not END:
            yield item
        if is_last:
            if (text[end + 1 :] + file.read()).strip():
                yield Issue(str(path), "not JSON: something follows the array", unreadable=True)
            return
        place, size, is_first = end + 1, CHUNK, False


def parse_item(text: str, place: int, *, is_first: bool) -> tuple[Any, int]:
    """RETURNS (tuple[Any, int]): The item of an array at a place, END if it has none; and the place
    of the comma or bracket after it.
    RAISES (JSONDecodeError, IndexError): If there is no complete one."""
    place = skip_space(text, place)
    if is_first and text[place] == "]":
        return END, place
    try:
        item, end = DECODER.raw_decode(text, place)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        _, end = json.JSONDecoder(parse_int=str).raw_decode(text, place)  # of any length
        item = Issue("", shorten(str(error), 200), shorten(text[place:end]), unreadable=True)
    end = skip_space(text, end)
    if text[end] not in ",]":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
    return item, end


def skip_space(text: str, place: int) -> int:
    while text[place].isspace():
        place += 1
    return place


def parse(text: str, where: str) -> Any:
    try:
        return load_json(text)
    except ValueError as error:
        raise InputError(f"{where}: {shorten(str(error), 200)}") from None


def get(record: Any, name: str, types: type | tuple[type, ...], where: str) -> Any:
    """RETURNS (Any): A field of a JSON object. A number such as 5.0 is an integer.
    RAISES (InputError): If the record isn't an object, lacks the field, or it has another type."""
    if not isinstance(record, dict) or name not in record:
        raise InputError(f'{where}: no field "{name}"')
    value = record[name]
    if types is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, types) or isinstance(value, bool):
        raise InputError(f'{where}: the field "{name}" is {shorten(repr(value))}')
    return value


def get_objects(record: Any, name: str, where: str) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): A field of a JSON object that is a list of objects; empty if
    it is missing or null.
    RAISES (InputError): As `get`, or if an item is no object."""
    if isinstance(record, dict) and record.get(name) is None:
        return []
    items: list[dict[str, Any]] = get(record, name, list, where)
    for item in items:
        if not isinstance(item, dict):
            raise InputError(f'{where}: {shorten(repr(item))} in the field "{name}" is no object')
    return items
