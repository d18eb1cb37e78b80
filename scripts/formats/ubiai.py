"""UBIAI's JSON export, whose "tokens" are the mentions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from formats.annotated import Annotated, Issue, Span
from formats.json_records import get, read_json_records
from formats.stated import check_stated


def is_ubiai(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is a document of UBIAI."""
    return isinstance(record, dict) and "document" in record and "tokens" in record


def read_ubiai(path: Path, encoding: str | None) -> Iterator[Annotated | Issue]:
    """Read `{"document": …, "tokens": [{"text": "Ada", "start": 0, "end": 3, "entityLabel":
    "PER"}]}`. Mentions whose text isn't the stated one are left out."""
    for where, record in read_json_records(path, encoding):
        text = get(record, "document", str, where)
        stated = []
        for item in get(record, "tokens", list, where):
            start, end = get(item, "start", int, where), get(item, "end", int, where)
            stated.append(
                (Span(start, end, get(item, "entityLabel", str, where)), item.get("text"))
            )
        yield check_stated(where, text, stated)
