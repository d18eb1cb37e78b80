"""Argilla's records, nested and flat."""

from pathlib import Path
from typing import Any

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import MENTIONS, OBJECTS, TEXT, jsonl, mentions, read


def test_drafts_are_not_used(tmp_path: Path) -> None:
    flat = {"text": TEXT, "ner.responses": [OBJECTS], "ner.responses.status": ["draft"]}
    nested = {
        "status": "pending",
        "fields": {"text": TEXT},
        "responses": {"ner": [{"value": OBJECTS}]},
    }
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", flat, nested))
    assert docs == []
    assert [issue.reason for issue in issues] == ["no submitted response"] * 2


def nested(status: str = "completed", **responses: Any) -> dict[str, Any]:
    answers = {name: [{"value": v, "user_id": "u"}] for name, v in responses.items()}
    return {"status": status, "fields": {"text": TEXT}, "responses": answers}


def flat(*statuses: str | None, status: str = "completed", **fields: Any) -> dict[str, Any]:
    values = [OBJECTS, OBJECTS[:1]][: len(statuses)]
    record = {"id": "7", "status": status, "_server_id": None, "text": TEXT}
    return record | {"ner.responses": values, "ner.responses.status": list(statuses)} | fields


def test_the_flat_form_has_the_status_of_each_response(tmp_path: Path) -> None:
    records = [flat("submitted", "draft"), flat("discarded", "submitted"), flat("draft")]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *records))
    assert [mentions(doc) for doc in docs] == [MENTIONS, MENTIONS[:1]]
    assert [issue.reason for issue in issues] == ["no submitted response"]


def test_without_its_own_status_a_response_has_that_of_the_record(tmp_path: Path) -> None:
    records = [flat(None, status="pending"), flat(None), nested("pending", ner=OBJECTS)]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *records))
    assert [mentions(doc) for doc in docs] == [MENTIONS]
    assert [issue.reason for issue in issues] == ["no submitted response"] * 2


def test_of_different_responses_the_first_is_used(tmp_path: Path) -> None:
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", flat("submitted", "submitted")))
    assert mentions(doc) == MENTIONS
    assert [i.reason for i in issues] == ["another annotation of the text, which differs, is used"]


def test_the_questions_of_a_record_are_joined(tmp_path: Path) -> None:
    record = nested(people=OBJECTS[:1], places=OBJECTS[1:], topic="news")
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", record))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_an_empty_response_says_that_there_is_no_mention(tmp_path: Path) -> None:
    _, (doc,), _ = read(jsonl(tmp_path / "in.jsonl", nested(ner=[])))
    assert mentions(doc) == []


def test_the_text_is_the_only_field_if_it_has_another_name(tmp_path: Path) -> None:
    record = flat("submitted", doc=TEXT) | {"ner.suggestion": [], "ner.suggestion.agent": "m"}
    del record["text"]
    other = nested(ner=OBJECTS)
    other["fields"] = {"doc": TEXT}
    _, docs, _ = read(jsonl(tmp_path / "in.jsonl", record, other))
    assert [mentions(doc) for doc in docs] == [MENTIONS, MENTIONS]


def test_a_file_may_start_with_a_suggestion(tmp_path: Path) -> None:
    first = {"id": "1", "text": TEXT, "ner.suggestion": OBJECTS, "ner.responses": None}
    name, docs, issues = read(jsonl(tmp_path / "in.jsonl", first, flat("submitted")))
    assert name == "argilla"
    assert len(docs) == 1
    assert [issue.reason for issue in issues] == ["no submitted response"]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (nested() | {"responses": [1]}, 'the field "responses" is [1]'),
        (nested() | {"responses": {"ner": ["x"]}}, "'x' in the field \"ner\" is no object"),
        (flat("draft") | {"ner.responses": 5}, 'the field "ner.responses" is 5'),
        (
            flat("draft") | {"ner.responses.status": ["draft", "draft"]},
            'not as many statuses as there are in "ner.responses"',
        ),
        (
            nested() | {"fields": {"title": "Bo", "body": TEXT}},
            'no field "text"; fields that are strings: title, body',
        ),
        (5, "not an object"),
    ],
)
def test_a_broken_record_is_one_line(record: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(jsonl(tmp_path / "in.jsonl", flat("submitted"), record))
    assert str(error.value).endswith(f"in.jsonl:2: {words}")
