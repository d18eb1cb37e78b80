"""UBIAI's JSON export, whose "tokens" are the mentions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conll_ner.data.formats.annotated import Annotated, Issue, Reading
from conll_ner.data.formats.json_records import get, get_objects, read_json_records
from conll_ner.data.formats.stated import Stated, check_stated, count_right, get_stated
from conll_ner.data.mentions import CharMention


def is_ubiai(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is a document of UBIAI."""
    return isinstance(record, dict) and "document" in record and "tokens" in record


def read_ubiai(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read `{"document": …, "tokens": [{"text": "Ada", "start": 0, "end": 3, "entityLabel":
    "PER"}]}`. Whether ends are exclusive isn't documented: the stated texts of a record decide.
    Mentions whose text isn't the stated one are left out."""
    for where, record in read_json_records(path, reading.encoding):
        text = get(record, "document", str, where)
        exclusive: list[Stated] = []
        for item in get_objects(record, "tokens", where):
            start, end = get(item, "start", int, where), get(item, "end", int, where)
            label = get(item, "entityLabel", str, where)
            exclusive.append((CharMention(start, end, label), get_stated(item, where)))
        inclusive = [(CharMention(s.start, s.end + 1, s.label), words) for s, words in exclusive]
        best = max((exclusive, inclusive), key=lambda reading: count_right(text, reading))
        yield check_stated(where, text, best)
