"""The documents of DyGIE++ and SciERC
(https://github.com/dwadden/dygiepp/blob/master/doc/data.md)."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.formats.json_records import each_record, get, json_format
from conll_ner.data.formats.readers.gliner import to_span
from conll_ner.data.formats.words import from_sentences, word_sentence


def is_dygie(record: Any) -> bool:
    return (
        isinstance(record, dict) and "ner" in record and isinstance(record.get("sentences"), list)
    )


def read_dygie(where: str, record: Any) -> Iterator[Annotated]:
    """Read `{"sentences": [["Ada", "left"]], "ner": [[[0, 0, "PER"]]]}`: numbers of words in the
    document, the end inclusive."""
    sentences = get(record, "sentences", list, where)
    ner = get(record, "ner", list, where)
    if len(ner) != len(sentences) or not all(isinstance(item, list) for item in sentences + ner):
        raise InputError(f"{where}: {len(sentences)} sentences and {len(ner)} lists of mentions")
    firsts = [0, *accumulate(map(len, sentences))]
    found = []
    for words, items, first in zip(sentences, ner, firsts, strict=False):
        spans = [to_span(item, where) for item in items]
        spans = [(start - first, end - first, label) for start, end, label in spans]
        found.append(word_sentence(words, spans, where))
    yield from_sentences(where, found)


FORMAT = json_format("dygie", "DyGIE++", '"sentences" and "ner"', is_dygie, each_record(read_dygie))
