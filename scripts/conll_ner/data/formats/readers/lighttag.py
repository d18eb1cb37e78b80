"""LightTag's JSON export."""

from collections.abc import Iterator
from typing import Any

from conll_ner.data.formats.annotated import Annotated, Issue, attempt
from conll_ner.data.formats.json_records import each_record, get, get_objects, json_format
from conll_ner.data.formats.stated import check_stated, read_stated


def is_lighttag(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON value is an example, or an object with "examples"."""
    if isinstance(record, dict) and isinstance(record.get("examples"), list):
        return any(map(is_example, record["examples"]))
    return is_example(record)


def is_example(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and isinstance(record.get("content"), str)
        and isinstance(record.get("annotations"), list)
    )


def read_lighttag(where: str, record: Any) -> Iterator[Annotated | Issue]:
    """Read `{"content": …, "annotations": [{"start": 0, "end": 3, "tag": "PER", "value":
    "Ada"}]}`, or a list of these as "examples"."""
    if isinstance(record, dict) and "examples" in record:
        for number, example in enumerate(get(record, "examples", list, where), start=1):
            yield from attempt(f"{where}, example {number}", example, read_example)
    else:
        yield from read_example(where, record)


def read_example(where: str, record: Any) -> Iterator[Annotated]:
    items = get_objects(record, "annotations", where)
    stated = [read_stated(item | {"text": item.get("value")}, where, label="tag") for item in items]
    yield check_stated(where, get(record, "content", str, where), stated)


FORMAT = json_format(
    "lighttag", "LightTag", '"content" and "annotations"', is_lighttag, each_record(read_lighttag)
)
