"""The form of Stockmark's Japanese corpus
(https://github.com/stockmarkteam/ner-wikipedia-dataset)."""

from collections.abc import Iterator
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.formats.json_records import each_record, get, get_objects, json_format
from conll_ner.data.formats.stated import check_stated, read_stated


def is_stockmark(record: Any) -> bool:
    items = record.get("entities") if isinstance(record, dict) else None
    return isinstance(items, list) and any(isinstance(i, dict) and "span" in i for i in items)


def read_stockmark(where: str, record: Any) -> Iterator[Annotated]:
    """Read `{"text": …, "entities": [{"name": "Ada", "span": [0, 3], "type": "PER"}]}`."""
    stated = []
    for item in get_objects(record, "entities", where):
        span = get(item, "span", list, where)
        if len(span) != 2:
            raise InputError(f"{where}: {shorten(repr(span))} is no span")
        value = {"start": span[0], "end": span[1], "text": item.get("name")}
        stated.append(read_stated(value | {"label": item.get("type")}, where))
    yield check_stated(where, get(record, "text", str, where), stated)


FORMAT = json_format(
    "stockmark",
    "Stockmark's Wikipedia corpus",
    '"entities" with "span"',
    is_stockmark,
    each_record(read_stockmark),
)
