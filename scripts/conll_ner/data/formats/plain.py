"""Plain JSONL: a text and its mentions, as `predict` writes them, and as most scripts do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import Annotated, Reading
from conll_ner.data.formats.json_records import get, read_json_records
from conll_ner.data.formats.stated import Stated, check_stated, get_stated
from conll_ner.data.mentions import CharMention

FIELDS = ("mentions", "spans", "entities", "ents")


def is_plain(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is a text with mentions."""
    return isinstance(record, dict) and "text" in record and any(name in record for name in FIELDS)


def read_plain(path: Path, reading: Reading) -> Iterator[Annotated]:
    """Read `{"text": …, "mentions": [{"start": 0, "end": 3, "label": "PER"}]}`, one per line. The
    field of mentions may be any of FIELDS, and a mention a list [start, end, label]. Mentions that
    state another text than theirs are left out."""
    for where, record in read_json_records(path, reading.encoding):
        text = get(record, "text", str, where)
        names = [name for name in FIELDS if name in record]
        if len(names) != 1:
            found = "no field" if not names else "more than one field"
            raise InputError(f"{where}: {found} of mentions ({', '.join(names or FIELDS)})")
        items = get(record, names[0], list, where)
        yield check_stated(where, text, [read_stated(item, where) for item in items])


def read_stated(item: Any, where: str) -> Stated:
    """RETURNS (Stated): A mention as `read_mention` reads it, and its text if it is stated."""
    return read_mention(item, where), get_stated(item, where) if isinstance(item, dict) else None


def read_mention(item: Any, where: str) -> CharMention:
    """RETURNS (CharMention): A mention that is an object with start, end and label, or a list."""
    if isinstance(item, list) and len(item) == 3:
        item = dict(zip(("start", "end", "label"), item, strict=True))
    if not isinstance(item, dict):
        raise InputError(f"{where}: {shorten(repr(item))} is no mention")
    start, end = get(item, "start", int, where), get(item, "end", int, where)
    return CharMention(start, end, get(item, "label", str, where))
