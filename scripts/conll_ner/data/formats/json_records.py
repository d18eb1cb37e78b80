"""Read JSON records: JSONL line by line, or the items of one JSON array."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from conll_ner.common.console import InputError, shorten
from conll_ner.common.exact_json import load_json
from conll_ner.data.encodings import open_text

START = 4096  # characters


def read_json_records(path: Path, encoding: str | None) -> Iterator[tuple[str, Any]]:
    """Read the values of a file: of JSONL one per line, in constant memory; of a JSON array its
    items; otherwise the one value that the file holds.

    YIELDS (tuple[str, Any]): The record's place for messages, FILE:LINE or "FILE, item N", and
        its value.
    RAISES (InputError): If the file, or a line of it, isn't JSON.
    """
    with open_text(path, encoding) as file:
        yield from parse_records(file, path)


def read_start(path: Path, encoding: str | None) -> tuple[str, Any]:
    """RETURNS (tuple[str, Any]): The first characters of a file, and the first value of
    `read_json_records`, None if the file isn't JSON.
    RAISES (InputError): If it has another encoding."""
    with open_text(path, encoding) as file:
        start = file.read(START).lstrip()
        if start[:1] not in ("{", "["):
            return start, None
        file.seek(0)
        with suppress(InputError):
            return start, next((value for _, value in parse_records(file, path)), None)
    return start, None


def parse_records(file: TextIO, path: Path) -> Iterator[tuple[str, Any]]:
    lines = ((n, line) for n, line in enumerate(file, start=1) if line.strip())
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path} is empty")
    if is_record(first[1]):
        for number, line in chain([first], lines):
            yield f"{path}:{number}", parse(line, f"{path}:{number}")
        return
    file.seek(0)
    value = parse(file.read(), str(path))
    if isinstance(value, list):
        yield from ((f"{path}, item {n}", item) for n, item in enumerate(value, start=1))
    else:
        yield str(path), value


def is_record(line: str) -> bool:
    """RETURNS (bool): Whether the first line is a record by itself: an object, or an array such as
    ["a text", {"entities": []}], but not an array of records."""
    try:
        value = load_json(line)
    except ValueError:
        # A broken line of JSONL, rather than the first line of an object over several lines.
        return line.startswith("{") and line.rstrip().endswith("}")
    return not isinstance(value, list) or (bool(value) and isinstance(value[0], str))


def parse(text: str, where: str) -> Any:
    try:
        return load_json(text)
    except ValueError as error:
        raise InputError(f"{where}: {shorten(str(error), 200)}") from None


def get(record: Any, name: str, types: type | tuple[type, ...], where: str) -> Any:
    """RETURNS (Any): A field of a JSON object.
    RAISES (InputError): If the record isn't an object, lacks the field, or it has another type."""
    if not isinstance(record, dict) or name not in record:
        raise InputError(f'{where}: no field "{name}"')
    value = record[name]
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
