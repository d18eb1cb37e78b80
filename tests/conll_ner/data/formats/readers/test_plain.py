"""Plain JSONL, as `predict` and most scripts write it."""

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import (
    MENTIONS,
    OBJECTS,
    TEXT,
    jsonl,
    labels,
    mentions,
    read,
)


def test_a_stated_text_is_compared(tmp_path: Path) -> None:
    items = [OBJECTS[0] | {"text": "Ada", "score": 0.9}, OBJECTS[1] | {"text": "Rome"}]
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", {"text": TEXT, "mentions": items}))
    assert labels(doc) == ["B", "O", "?", "O"]
    assert [issue.reason for issue in issues] == ["its text is not the stated one: Rome"]


def test_offsets_may_be_utf16_if_the_texts_say_so(tmp_path: Path) -> None:
    items = [
        {"start": 3, "end": 6, "label": "PER", "text": "Ada"},
        {"start": 12, "end": 16, "label": "LOC", "text": "Oslo"},
    ]
    record = {"text": f"😀 {TEXT}", "mentions": items}
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", record))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_a_text_that_is_empty_or_null_is_not_stated(tmp_path: Path) -> None:
    items = [OBJECTS[0] | {"text": None}, OBJECTS[1] | {"text": ""}]
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", {"text": TEXT, "mentions": items}))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_a_stated_text_of_another_type_is_an_error(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", {"text": TEXT, "mentions": [OBJECTS[0] | {"text": 5}]})
    with pytest.raises(InputError, match=r'in.jsonl:1: the field "text" is 5'):
        read(path)


@pytest.mark.parametrize("form", ["objects", "columns"])
def test_parquet_with_texts_and_mentions_is_read(form: str, tmp_path: Path) -> None:
    entities: Any = OBJECTS
    if form == "columns":  # as older versions of datasets save a sequence of objects
        entities = {name: [item[name] for item in OBJECTS] for name in OBJECTS[0]}
    table = pyarrow.Table.from_pylist([{"text": TEXT, "entities": entities}] * 3)
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    name, docs, issues = read(tmp_path / "in.parquet")
    assert name == "jsonl"
    assert [mentions(doc) for doc in docs] == [MENTIONS] * 3
    assert issues == []
