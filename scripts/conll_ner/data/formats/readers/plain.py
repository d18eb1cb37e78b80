"""Plain JSONL: a text and its mentions, as `predict` writes them, and as most scripts do."""

from collections.abc import Iterator
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.formats.json_records import each_record, get, json_format
from conll_ner.data.formats.stated import check_stated, read_stated

FIELDS = ("mentions", "spans", "entities", "ents")


def is_plain(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is a text with mentions."""
    return isinstance(record, dict) and "text" in record and any(name in record for name in FIELDS)


def read_plain(where: str, record: Any) -> Iterator[Annotated]:
    """Read `{"text": …, "mentions": [{"start": 0, "end": 3, "label": "PER"}]}`. The field of
    mentions may be any of FIELDS, and a mention a list [start, end, label]. Mentions that state
    another text than theirs are left out."""
    text = get(record, "text", str, where)
    names = [name for name in FIELDS if name in record]
    if len(names) != 1:
        found = "no field" if not names else "more than one field"
        raise InputError(f"{where}: {found} of mentions ({', '.join(names or FIELDS)})")
    items = get(record, names[0], (list, dict), where)
    yield check_stated(where, text, [read_stated(item, where) for item in to_rows(items)])


def to_rows(items: Any) -> list[Any]:
    """RETURNS (list[Any]): Mentions as a list. A table of `datasets` can have a list for each
    field, {"start": [0], "end": [3], "label": ["PER"]}."""
    if isinstance(items, list):
        return items
    columns = [value for value in items.values() if isinstance(value, list)]
    if len({*map(len, columns)}) != 1 or len(columns) < len(items):
        return [items]
    return [dict(zip(items, row, strict=True)) for row in zip(*columns, strict=True)]


FORMAT = json_format(
    "jsonl",
    '`{"text": …, "mentions": [{"start": 0, "end": 3, "label": "PER"}]}`, as `predict` writes it; '
    "also `spans` or `entities`, and lists",
    f'a "text" and a field of mentions ({", ".join(FIELDS)})',
    is_plain,
    each_record(read_plain),
    is_general=True,
)
