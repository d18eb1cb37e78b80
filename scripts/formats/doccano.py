"""doccano's JSONL exports, with mentions as lists or, in projects with relations, as objects
(https://github.com/doccano/doccano, backend/data_export)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from formats.annotated import Annotated, Issue, Span
from formats.json_records import get, read_json_records
from formats.plain import read_span

LISTS = ("label", "labels")


def is_doccano(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record has mentions as doccano exports them."""
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        return False
    lists = [record[name] for name in LISTS if isinstance(record.get(name), list)]
    objects = record.get("entities")
    return any(all(isinstance(item, list) for item in items) for items in lists) or (
        isinstance(objects, list)
        and ("relations" in record or any("start_offset" in map(str, item) for item in objects))
    )


def read_doccano(path: Path, encoding: str | None) -> Iterator[Annotated | Issue]:
    """Read `{"text": …, "label": [[0, 3, "PER"]]}`, or `"entities": [{"label": "PER",
    "start_offset": 0, "end_offset": 3}]`, one per line."""
    for where, record in read_json_records(path, encoding):
        text = get(record, "text", str, where)
        if "entities" in record:
            items = get(record, "entities", list, where)
            mentions = [
                Span(
                    get(item, "start_offset", int, where),
                    get(item, "end_offset", int, where),
                    get(item, "label", str, where),
                )
                for item in items
            ]
        else:
            name = next((name for name in LISTS if name in record), LISTS[0])
            mentions = [read_span(item, where) for item in get(record, name, list, where)]
        yield Annotated(where, text, mentions)
