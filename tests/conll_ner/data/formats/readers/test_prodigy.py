"""Prodigy's tasks."""

from pathlib import Path
from typing import Any

import pytest

from conll_ner.common.console import InputError
from conll_ner.data.formats.joining import DIFFERS
from tests.conll_ner.data.formats.support import (
    MENTIONS,
    NLP,
    OBJECTS,
    TEXT,
    jsonl,
    labels,
    mentions,
    prodigy,
    read,
)


def test_only_accepted_tasks_are_used(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", prodigy("reject"), prodigy("ignore"), prodigy())
    _, docs, issues = read(path)
    assert len(docs) == 1
    assert [i.reason for i in issues] == ["the answer is 'reject'", "the answer is 'ignore'"]
    assert issues[0].record.endswith("in.jsonl:1")


def test_partial_tasks_on_one_input_are_joined(tmp_path: Path) -> None:
    """ner.teach asks about one mention at a time: other words stay unknown."""
    first = prodigy(view="ner", _input_hash=1, spans=OBJECTS[:1])
    second = prodigy(view="ner", _input_hash=1, spans=OBJECTS[1:])
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", first, second))
    assert mentions(doc) == MENTIONS
    assert labels(doc) == ["B", "?", "B", "?"]
    assert issues == []


def test_of_complete_tasks_on_one_input_the_last_is_used(tmp_path: Path) -> None:
    first = prodigy(_input_hash=1, spans=OBJECTS[:1])
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", first, prodigy(_input_hash=1)))
    assert mentions(doc) == MENTIONS
    assert [issue.reason for issue in issues] == [DIFFERS]


def test_words_are_kept(tmp_path: Path) -> None:
    tokens = [{"text": word, "id": i} for i, word in enumerate(["A", "da", "left", "Oslo", "."])]
    _, (doc,), _ = read(jsonl(tmp_path / "in.jsonl", prodigy(tokens=tokens)))
    assert [token.text for token in doc] == ["A", "da", "left", "Oslo", "."]
    assert mentions(doc) == MENTIONS


def test_partial_tasks_on_one_input_need_not_follow_each_other(tmp_path: Path) -> None:
    first = prodigy(view="ner", _input_hash=1, spans=OBJECTS[:1])
    between = prodigy(_input_hash=2, text="Bo.", spans=[])
    last = prodigy(view="ner", _input_hash=1, spans=OBJECTS[1:])
    rejected = prodigy("reject", view="ner", _input_hash=1)
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", first, between, last, rejected))
    assert [mentions(doc) for doc in docs] == [[], MENTIONS]
    assert labels(docs[1]) == ["B", "?", "B", "?"]
    assert [issue.reason for issue in issues] == ["the answer is 'reject'"]


def test_a_complete_task_replaces_partial_ones(tmp_path: Path) -> None:
    partial = prodigy(view="ner", _input_hash=1, spans=[OBJECTS[0] | {"label": "ORG"}])
    path = jsonl(tmp_path / "in.jsonl", partial, prodigy(_input_hash=1), partial)
    _, (doc,), issues = read(path)
    assert mentions(doc) == MENTIONS
    assert [issue.reason for issue in issues] == [DIFFERS] * 2


def test_tasks_without_an_input_hash_are_records_of_their_own(tmp_path: Path) -> None:
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", prodigy(), prodigy()))
    assert len(docs) == 2
    assert issues == []


def test_one_input_hash_of_two_texts_is_two_inputs(tmp_path: Path) -> None:
    other = prodigy(_input_hash=1, text="Bo.", spans=[])
    _, docs, _ = read(jsonl(tmp_path / "in.jsonl", prodigy(_input_hash=1), other))
    assert [doc.text for doc in docs] == [TEXT, "Bo."]


def test_binary_tasks_are_partial_in_any_interface(tmp_path: Path) -> None:
    task = prodigy(view="blocks", _is_binary=True, spans=OBJECTS[:1])
    _, (doc,), _ = read(jsonl(tmp_path / "in.jsonl", task))
    assert labels(doc) == ["B", "?", "?", "?"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"_view_id": "choice", "answer": "accept"},
            "a task of the interface 'choice', which has no mentions",
        ),
        ({"_input_hash": 1}, "neither an answer nor mentions"),
    ],
)
def test_tasks_that_nobody_looked_for_mentions_in_are_listed(
    fields: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", {"text": TEXT} | fields))
    assert docs == []
    assert [issue.reason for issue in issues] == [reason]


def test_an_accepted_task_without_mentions_is_complete(tmp_path: Path) -> None:
    task = {"text": TEXT, "_view_id": "ner_manual", "answer": "accept"}
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task))
    assert labels(doc) == ["O"] * 4
    assert issues == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT, ["Ada", "left"]),
        (TEXT, ["Ada", "went", "Oslo", "."]),
        ("St.  Gallen won", ["St. Gallen", "won"]),
        (TEXT, ["", "Ada", "left", "Oslo", "."]),
    ],
)
def test_words_that_are_not_those_of_the_text_are_not_used(
    text: str, words: list[str], tmp_path: Path
) -> None:
    tokens = [{"text": word, "id": i} for i, word in enumerate(words)]
    task = prodigy(text=text, tokens=tokens, spans=[])
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task))
    assert [token.text for token in doc] == [token.text for token in NLP(text)]
    assert issues == []


def test_ends_of_words_are_inclusive_and_of_characters_exclusive(tmp_path: Path) -> None:
    span = {"start": 0, "end": 8, "token_start": 0, "token_end": 1, "label": "EVENT"}
    _, (doc,), _ = read(jsonl(tmp_path / "in.jsonl", prodigy(spans=[span])))
    assert mentions(doc) == [("Ada left", "EVENT")]


def test_a_stated_text_is_compared(tmp_path: Path) -> None:
    spans = [OBJECTS[0] | {"text": "Ada"}, OBJECTS[1] | {"text": "Rome"}]
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", prodigy(spans=spans)))
    assert labels(doc) == ["B", "O", "?", "O"]
    assert [issue.reason for issue in issues] == ["its text is not the stated one: Rome"]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (prodigy(spans=5), 'in.jsonl:2: the field "spans" is 5'),
        (prodigy(spans=[5]), 'in.jsonl:2: 5 in the field "spans" is no object'),
        (prodigy(tokens=["Ada"]), "in.jsonl:2: 'Ada' in the field \"tokens\" is no object"),
        (prodigy(tokens=[{}]), 'in.jsonl:2: no field "text"'),
        (prodigy(text=5, _input_hash=[1]), 'in.jsonl:2: the field "text" is 5'),
        (5, 'in.jsonl:2: no field "text"'),
    ],
)
def test_a_broken_task_is_one_line(task: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(jsonl(tmp_path / "in.jsonl", prodigy(), task))
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(("last", "expected"), [(0, MENTIONS[:1]), (1, [])])
def test_a_stale_text_beside_right_words_is_not_compared(
    last: int, expected: list[Any], tmp_path: Path
) -> None:
    """A corrected mention keeps the text of before."""
    words = [(0, 3), (4, 8), (9, 13), (13, 14)]
    tokens = [{"text": TEXT[a:b], "start": a, "end": b, "id": i} for i, (a, b) in enumerate(words)]
    span = OBJECTS[0] | {"text": "Ada left", "token_start": 0, "token_end": last}
    task = prodigy(tokens=tokens, spans=[span])
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task))
    assert mentions(doc) == expected
    assert len(issues) == 1 - len(expected)
