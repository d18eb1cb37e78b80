"""Formats whose mentions are numbers of words: GLiNER, DyGIE++ and SpERT."""

from pathlib import Path
from typing import Any

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import jsonl, read

WORDS = ["Ada", "Lin", "left", "Oslo", "."]
NESTED = [(0, 2, "PER"), (3, 4, "LOC"), (0, 1, "NAME")]  # ends are exclusive
EXPECTED = [("Ada Lin", "PER"), ("Oslo", "LOC"), ("Ada", "NAME")]


def gliner(spans: list[Any]) -> dict[str, Any]:
    return {"tokenized_text": WORDS, "ner": [[a, b - 1, label] for a, b, label in spans]}


def dygie(spans: list[Any]) -> dict[str, Any]:
    """The mentions are those of the second sentence, after two words."""
    ner = [[], [[a + 2, b + 1, label] for a, b, label in spans]]
    return {"doc_key": "x", "sentences": [["Bo", "won"], WORDS], "ner": ner}


def spert(spans: list[Any]) -> dict[str, Any]:
    entities = [{"type": label, "start": a, "end": b} for a, b, label in spans]
    return {"tokens": WORDS, "entities": entities, "relations": [], "orig_id": 1}


@pytest.mark.parametrize("make", [gliner, dygie, spert])
def test_words_and_nested_mentions_are_read(make: Any, tmp_path: Path) -> None:
    name, (doc,), issues = read(jsonl(tmp_path / "in.json", [make(NESTED)]))
    assert name == make.__name__
    assert [token.text for token in doc][-5:] == WORDS
    assert {(span.text, span.label_) for span in doc.spans["gold"]} == set(EXPECTED)
    assert [(ent.text, ent.label_) for ent in doc.ents] == EXPECTED[:2]
    assert [issue.reason for issue in issues] == ["overlaps with PER: Ada Lin"]
    assert len(list(doc.sents)) == (2 if make is dygie else 1)


@pytest.mark.parametrize("make", [gliner, dygie, spert])
@pytest.mark.parametrize("span", [(0, 9, "X"), (-3, 1, "X"), (1, 1, "X"), (0, 1, 5)])
def test_a_mention_of_other_words_is_named(make: Any, span: Any, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", make(NESTED), make([span]))
    with pytest.raises(InputError, match=r"in\.jsonl:2: ") as error:
        read(path)
    assert len(str(error.value).splitlines()) == 1
