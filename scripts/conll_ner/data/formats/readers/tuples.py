"""spaCy 2's training tuples in JSON, as NER Annotator and many scripts write them."""

from collections.abc import Iterator
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import Annotated, Issue, attempt
from conll_ner.data.formats.json_records import each_record, get, json_format
from conll_ner.data.formats.stated import read_stated


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


def read_tuples(where: str, record: Any) -> Iterator[Annotated | Issue]:
    """Read `["Ada left Oslo.", {"entities": [[0, 3, "PER"]]}]`, one per line or in a list; or the
    object {"classes": …, "annotations": …} of NER Annotator, whose texts that weren't annotated
    are null."""
    if isinstance(record, dict):
        items = enumerate(get(record, "annotations", list, where), start=1)
        for number, item in items:
            if item is not None:
                yield from attempt(f"{where}, annotation {number}", item, read_tuple)
    else:
        yield from read_tuple(where, record)


def read_tuple(where: str, item: Any) -> Iterator[Annotated]:
    if not is_tuple(item):
        raise InputError(f"{where}: {shorten(repr(item))} is no text with entities")
    text, annotation = item
    entities = get(annotation, "entities", list, where)
    yield Annotated(where, text, [read_stated(span, where)[0] for span in entities])


FORMAT = json_format(
    "tuples",
    "spaCy 2's training tuples, NER Annotator",
    'a text with an object that has "entities"',
    is_tuples,
    each_record(read_tuples),
)
