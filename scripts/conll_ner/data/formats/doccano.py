"""doccano's JSONL exports, with mentions as lists or, in projects with relations, as objects
(https://github.com/doccano/doccano, backend/data_export)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import Annotated, Issue, Reading
from conll_ner.data.formats.json_records import get, read_json_records
from conll_ner.data.formats.plain import read_mention
from conll_ner.data.mentions import CharMention

LISTS = ("label", "labels")


def is_doccano(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record has mentions as doccano exports them."""
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        return False
    if "entities" in record and ("relations" in record or "Comments" in record):
        return True
    return find_objects(record) != [] or any(map(is_lists, (record.get(name) for name in LISTS)))


def is_lists(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, list) for item in value)


def find_objects(record: dict[str, Any]) -> list[Any]:
    """RETURNS (list[Any]): The mentions of a project with relations. Metadata is exported beside
    them, and may have their field's name."""
    items = record.get("entities")
    is_mentions = isinstance(items, list) and all(
        isinstance(item, dict) and "start_offset" in item for item in items
    )
    return items if isinstance(items, list) and is_mentions else []


def read_doccano(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read `{"text": …, "label": [[0, 3, "PER"]]}`, or `"entities": [{"label": "PER",
    "start_offset": 0, "end_offset": 3}]`, one per line."""
    for where, record in read_json_records(path, reading.encoding):
        text = get(record, "text", str, where)
        mentions = [
            CharMention(
                get(item, "start_offset", int, where),
                get(item, "end_offset", int, where),
                get(item, "label", str, where),
            )
            for item in find_objects(record)
        ]
        names = [name for name in LISTS if name in record]
        if not mentions and (names or "entities" not in record):
            name = next((name for name in names if is_lists(record[name])), LISTS[0])
            mentions = [read_mention(item, where) for item in get(record, name, list, where)]
        elif not mentions and record["entities"] != []:
            raise InputError(f'{where}: the field "entities" has no mentions of doccano')
        yield Annotated(where, text, mentions)
