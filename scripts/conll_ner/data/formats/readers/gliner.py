"""GLiNER's training data (https://github.com/urchade/GLiNER)."""

from collections.abc import Iterator
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.formats.json_records import each_record, get, json_format
from conll_ner.data.formats.words import from_sentences, word_sentence


def is_gliner(record: Any) -> bool:
    return isinstance(record, dict) and "tokenized_text" in record and "ner" in record


def read_gliner(where: str, record: Any) -> Iterator[Annotated]:
    """Read `{"tokenized_text": ["Ada", "left"], "ner": [[0, 0, "PER"]]}`: numbers of words, the end
    inclusive."""
    spans = [to_span(item, where) for item in get(record, "ner", list, where)]
    words = get(record, "tokenized_text", list, where)
    yield from_sentences(where, [word_sentence(words, spans, where)])


def to_span(item: Any, where: str) -> tuple[int, int, str]:
    """RETURNS (tuple[int, int, str]): First word, the one after the last, and label.
    RAISES (InputError): If an item isn't a list of two numbers and a label."""
    if not isinstance(item, list) or [type(value) for value in item[:3]] != [int, int, str]:
        raise InputError(f"{where}: {shorten(repr(item))} is no mention")
    return item[0], item[1] + 1, item[2]


FORMAT = json_format(
    "gliner", "GLiNER", '"tokenized_text" and "ner"', is_gliner, each_record(read_gliner)
)
