"""doccano's JSONL exports, with mentions as lists or, in projects with relations, as objects
(https://github.com/doccano/doccano, backend/data_export)."""

from collections.abc import Iterator
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.formats.json_records import each_record, get, json_format
from conll_ner.data.formats.stated import read_stated

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


def read_doccano(where: str, record: Any) -> Iterator[Annotated]:
    """Read `{"text": …, "label": [[0, 3, "PER"]]}`, or `"entities": [{"label": "PER",
    "start_offset": 0, "end_offset": 3}]`."""
    text = get(record, "text", str, where)
    mentions = [
        read_stated(item, where, "start_offset", "end_offset")[0] for item in find_objects(record)
    ]
    names = [name for name in LISTS if name in record]
    if not mentions and (names or "entities" not in record):
        name = next((name for name in names if is_lists(record[name])), LISTS[0])
        mentions = [read_stated(item, where)[0] for item in get(record, name, list, where)]
    elif not mentions and record["entities"] != []:
        raise InputError(f'{where}: the field "entities" has no mentions of doccano')
    yield Annotated(where, text, mentions)


FORMAT = json_format(
    "doccano",
    "doccano, both forms",
    'a "text" and lists of [start, end, label] in "label", or "start_offset" in "entities"',
    is_doccano,
    each_record(read_doccano),
)
