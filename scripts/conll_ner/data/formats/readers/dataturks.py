"""DataTurks's JSONL export."""

from collections.abc import Iterator
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.data.formats.json_records import each_record, get, get_objects, json_format
from conll_ner.data.formats.stated import check_stated, read_stated


def is_dataturks(record: Any) -> bool:
    return isinstance(record, dict) and "content" in record and "annotation" in record


def read_dataturks(where: str, record: Any) -> Iterator[Annotated | Issue]:
    """Read `{"content": …, "annotation": [{"label": ["PER"], "points": [{"start": 0, "end": 2,
    "text": "Ada"}]}]}`: ends are inclusive."""
    text = get(record, "content", str, where)
    if record.get("annotation") is None:
        yield Issue(where, "no annotation", shorten(text))
        return
    stated = []
    for item in get_objects(record, "annotation", where):
        labels = item.get("label") if isinstance(item.get("label"), list) else [item.get("label")]
        for point in get_objects(item, "points", where):
            for label in labels or [""]:
                if not isinstance(label, str):
                    raise InputError(f"{where}: the label {shorten(repr(label))} is no string")
                mention, words = read_stated(point | {"label": label}, where)
                stated.append((mention._replace(end=mention.end + 1), words))
    yield check_stated(where, text, stated)


FORMAT = json_format(
    "dataturks",
    "DataTurks",
    '"content" and "annotation"',
    is_dataturks,
    each_record(read_dataturks),
)
