"""SpERT's data (https://github.com/lavis-nlp/spert)."""

from collections.abc import Iterator
from typing import Any

from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.formats.json_records import each_record, get, get_objects, json_format
from conll_ner.data.formats.stated import read_stated
from conll_ner.data.formats.words import from_sentences, word_sentence


def is_spert(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and isinstance(record.get("tokens"), list)
        and isinstance(record.get("entities"), list)
        and all(isinstance(word, str) for word in record["tokens"])
    )


def read_spert(where: str, record: Any) -> Iterator[Annotated]:
    """Read `{"tokens": ["Ada", "left"], "entities": [{"type": "PER", "start": 0, "end": 1}]}`:
    numbers of words, the end exclusive."""
    items = get_objects(record, "entities", where)
    spans = [read_stated(item, where, label="type")[0] for item in items]
    yield from_sentences(where, [word_sentence(get(record, "tokens", list, where), spans, where)])


FORMAT = json_format("spert", "SpERT", '"tokens" and "entities"', is_spert, each_record(read_spert))
