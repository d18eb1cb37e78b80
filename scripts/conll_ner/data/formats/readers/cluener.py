"""CLUENER's JSONL (https://github.com/CLUEbenchmark/CLUENER2020)."""

from collections.abc import Iterator
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.formats.json_records import each_record, get, json_format
from conll_ner.data.formats.stated import check_stated
from conll_ner.data.mentions import CharMention


def is_cluener(record: Any) -> bool:
    return isinstance(record, dict) and "text" in record and isinstance(record.get("label"), dict)


def read_cluener(where: str, record: Any) -> Iterator[Annotated]:
    """Read `{"text": …, "label": {"PER": {"Ada": [[0, 2]]}}}`: ends are inclusive."""
    stated = []
    labels = get(record, "label", dict, where)
    for label in labels:
        found = get(labels, label, dict, where)
        for words in found:
            for pair in get(found, words, list, where):
                if not isinstance(pair, list) or [type(value) for value in pair] != [int, int]:
                    raise InputError(f"{where}: {shorten(repr(pair))} is no mention")
                stated.append((CharMention(pair[0], pair[1] + 1, label), words))
    yield check_stated(where, get(record, "text", str, where), stated)


FORMAT = json_format(
    "cluener",
    "CLUENER",
    'a "text" and an object as "label"',
    is_cluener,
    each_record(read_cluener),
)
