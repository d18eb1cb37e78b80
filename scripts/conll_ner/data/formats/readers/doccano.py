"""doccano's JSONL exports, with mentions as lists or, in projects with relations, as objects
(https://github.com/doccano/doccano, backend/data_export)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import Annotated, Issue, Reading
from conll_ner.data.formats.json_records import get, json_format, read_each, read_json_records
from conll_ner.data.formats.stated import read_stated

LISTS = ("label", "labels")
TEXTS = ("text", "data")  # "data" in version 1.0
OBJECTS = ("entities", "annotations")  # "annotations" in version 1.0, where labels are numbers
NAMES = "label_config.json"  # what version 1.0 exports as the labels


def is_doccano(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record has mentions as doccano exports them."""
    if not isinstance(record, dict) or not isinstance(record.get(text_of(record)), str):
        return False
    if "entities" in record and ("relations" in record or "Comments" in record):
        return True
    return find_objects(record) != [] or any(map(is_lists, (record.get(name) for name in LISTS)))


def text_of(record: Any) -> str:
    """RETURNS (str): The name of the field of the text."""
    return next((name for name in TEXTS if isinstance(record, dict) and name in record), TEXTS[0])


def is_lists(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, list) for item in value)


def find_objects(record: dict[str, Any]) -> list[Any]:
    """RETURNS (list[Any]): The mentions of a project with relations, or of version 1.0. Metadata is
    exported beside them, and may have their field's name."""
    for name in OBJECTS:
        items = record.get(name)
        if isinstance(items, list) and items and all(map(is_object, items)):
            return items
    return []


def is_object(item: Any) -> bool:
    return isinstance(item, dict) and "start_offset" in item


def read_doccano(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read `{"text": …, "label": [[0, 3, "PER"]]}`, or `"entities": [{"label": "PER",
    "start_offset": 0, "end_offset": 3}]`."""
    names = find_names(path.with_name(NAMES))
    return read_each(path, reading, lambda where, record: read_record(where, record, names))


def find_names(path: Path) -> dict[int, str]:
    """RETURNS (dict[int, str]): The labels' names by number; empty without such a file."""
    if not path.is_file():
        return {}
    found = [value for _, value in read_json_records(path, None)]
    return {get(v, "id", int, str(path)): get(v, "text", str, str(path)) for v in found}


def read_record(where: str, record: Any, names: dict[int, str]) -> Iterator[Annotated]:
    text = get(record, text_of(record), str, where)
    items = [
        item | {"label": names.get(item["label"], item["label"])}
        if isinstance(item.get("label"), int)
        else item
        for item in find_objects(record)
    ]
    for item in items:
        if isinstance(item.get("label"), int):
            raise InputError(
                f"{where}: no name for the label {item['label']}; put doccano's {NAMES} beside the "
                'file, such as [{"id": 1, "text": "PER"}]'
            )
    mentions = [read_stated(item, where, "start_offset", "end_offset")[0] for item in items]
    fields = [name for name in LISTS if name in record]
    others = [name for name in OBJECTS if name in record]
    if not mentions and (fields or not others):
        name = next((name for name in fields if is_lists(record[name])), LISTS[0])
        mentions = [read_stated(item, where)[0] for item in get(record, name, list, where)]
    elif not mentions and record[others[0]] != []:
        raise InputError(f'{where}: the field "{others[0]}" has no mentions of doccano')
    yield Annotated(where, text, mentions)


FORMAT = json_format(
    "doccano",
    "doccano, both forms; version 1.0",
    'a "text" and lists of [start, end, label] in "label", or "start_offset" in "entities"',
    is_doccano,
    read_doccano,
)
