"""Rasa's JSON training data (https://legacy-docs-oss.rasa.com/docs/rasa/nlu-training-data)."""

from collections.abc import Iterator
from typing import Any

from conll_ner.data.formats.annotated import Annotated, Issue, attempt
from conll_ner.data.formats.json_records import each_record, get, get_objects, json_format
from conll_ner.data.formats.stated import read_stated

DATA = "rasa_nlu_data"


def is_rasa(record: Any) -> bool:
    return isinstance(record, dict) and DATA in record


def read_rasa(where: str, record: Any) -> Iterator[Annotated | Issue]:
    """Read `{"rasa_nlu_data": {"common_examples": [{"text": …, "entities": [{"start": 0, "end": 3,
    "entity": "PER"}]}]}}`. The value of an entity may be a synonym, so it isn't compared."""
    examples = get(get(record, DATA, dict, where), "common_examples", list, where)
    for number, example in enumerate(examples, start=1):
        yield from attempt(f"{where}, example {number}", example, read_example)


def read_example(where: str, example: Any) -> Iterator[Annotated]:
    items = get_objects(example, "entities", where)
    mentions = [read_stated(item, where, label="entity")[0] for item in items]
    yield Annotated(where, get(example, "text", str, where), mentions)


FORMAT = json_format("rasa", "Rasa, JSON", f'"{DATA}"', is_rasa, each_record(read_rasa))
