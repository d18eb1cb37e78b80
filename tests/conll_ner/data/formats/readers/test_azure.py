"""Labels of Azure's Language Studio."""

import json
from pathlib import Path
from typing import Any

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import MENTIONS, SPANS, TEXT, mentions, read


def azure(folder: Path, location: Any = "a.txt", text: str = TEXT, shift: int = 0) -> Path:
    (folder / "a.txt").write_text(text, encoding="utf-8")
    labels = [{"category": c, "offset": a + shift, "length": b - a} for a, b, c in SPANS]
    entities = [{"category": c} for _, _, c in SPANS]
    region = {"regionOffset": 0, "regionLength": len(text), "labels": labels}
    document = {"location": location, "language": "en", "entities": [region]}
    path = folder / "labels.json"
    path.write_text(
        json.dumps({"assets": {"entities": entities, "documents": [document]}}, indent=1)
    )
    return path


@pytest.mark.parametrize(("before", "shift"), [("", 0), ("😀 ", 3)])
def test_texts_are_beside_and_offsets_in_utf16(before: str, shift: int, tmp_path: Path) -> None:
    name, (doc,), issues = read(azure(tmp_path, text=before + TEXT, shift=shift))
    assert name == "azure"
    assert mentions(doc) == MENTIONS
    assert issues == []


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("../a.txt", "there is no text '../a.txt' beside labels.json"),
        ("", "there is no text '' beside labels.json"),
        (5, 'the field "location" is 5'),
    ],
)
def test_a_text_that_is_not_beside_is_named(location: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        read(azure(tmp_path, location))
