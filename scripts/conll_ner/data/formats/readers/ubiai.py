"""UBIAI's JSON export, whose "tokens" are the mentions."""

from collections.abc import Iterator
from typing import Any

from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.formats.json_records import each_record, get, get_objects, json_format
from conll_ner.data.formats.stated import check_stated, read_stated


def is_ubiai(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is a document of UBIAI."""
    return isinstance(record, dict) and "document" in record and "tokens" in record


def read_ubiai(where: str, record: Any) -> Iterator[Annotated]:
    """Read `{"document": …, "tokens": [{"text": "Ada", "start": 0, "end": 3, "entityLabel":
    "PER"}]}`. Whether ends are exclusive isn't documented: the stated texts of a record decide."""
    text = get(record, "document", str, where)
    items = get_objects(record, "tokens", where)
    stated = [read_stated(item, where, label="entityLabel") for item in items]
    yield check_stated(where, text, stated)


FORMAT = json_format(
    "ubiai", "UBIAI", 'a "document" and its "tokens"', is_ubiai, each_record(read_ubiai)
)
