"""spaCy 2's training tuples in JSON, as NER Annotator and many scripts write them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import Annotated, Issue, Reading
from conll_ner.data.formats.json_records import get, read_json_records
from conll_ner.data.formats.plain import read_mention


def is_tuples(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON value is a training tuple, or an object with "annotations"
    that are."""
    return is_tuple(record) or (
        isinstance(record, dict)
        and isinstance(record.get("annotations"), list)
        and any(map(is_tuple, record["annotations"]))
    )


def is_tuple(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], dict)
        and "entities" in value[1]
    )


def read_tuples(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read `["Ada left Oslo.", {"entities": [[0, 3, "PER"]]}]`, one per line or in a list; or the
    object {"classes": …, "annotations": …} of NER Annotator, whose texts that weren't annotated
    are null."""
    for where, record in read_json_records(path, reading.encoding):
        if isinstance(record, dict):
            items = enumerate(get(record, "annotations", list, where), start=1)
            for number, item in items:
                if item is not None:
                    yield read_tuple(f"{where}, annotation {number}", item)
        else:
            yield read_tuple(where, record)


def read_tuple(where: str, item: Any) -> Annotated:
    if not is_tuple(item):
        raise InputError(f"{where}: {shorten(repr(item))} is no text with entities")
    text, annotation = item
    entities = get(annotation, "entities", list, where)
    return Annotated(where, text, [read_mention(span, where) for span in entities])
