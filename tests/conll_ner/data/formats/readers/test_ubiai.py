"""UBIAI's documents."""

from pathlib import Path
from typing import Any

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import (
    MENTIONS,
    SPANS,
    TEXT,
    jsonl,
    labels,
    mentions,
    read,
)


def document(inclusive: bool = False, text: str = TEXT, shift: int = 0) -> dict[str, Any]:
    tokens = [
        {
            "text": TEXT[start:end],
            "start": start + shift,
            "end": end + shift - inclusive,
            "token_start": 0,
            "token_end": 0,
            "entityLabel": label,
        }
        for start, end, label in SPANS
    ]
    return {"document": text, "tokens": tokens, "relations": []}


@pytest.mark.parametrize("inclusive", [False, True])
def test_the_stated_texts_tell_whether_ends_are_inclusive(inclusive: bool, tmp_path: Path) -> None:
    _, (doc,), issues = read(jsonl(tmp_path / "in.json", document(inclusive)))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_offsets_may_be_utf16(tmp_path: Path) -> None:
    _, (doc,), issues = read(jsonl(tmp_path / "in.json", document(text=f"😀 {TEXT}", shift=3)))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_a_text_that_is_not_the_stated_one_is_listed(tmp_path: Path) -> None:
    record = document()
    record["tokens"][1]["text"] = "Rome"
    _, (doc,), issues = read(jsonl(tmp_path / "in.json", record))
    assert labels(doc) == ["B", "O", "?", "O"]
    assert [issue.reason for issue in issues] == ["its text is not the stated one: Rome"]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"document": TEXT, "tokens": [5]}, '5 in the field "tokens" is no object'),
        ({"document": TEXT, "tokens": [{"start": 0, "end": 1}]}, 'no field "entityLabel"'),
        ({"document": None, "tokens": []}, 'the field "document" is None'),
        (5, 'no field "document"'),
    ],
)
def test_a_broken_document_is_one_line(record: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(jsonl(tmp_path / "in.json", document(), record))
    assert str(error.value).endswith(f"in.json:2: {words}")
