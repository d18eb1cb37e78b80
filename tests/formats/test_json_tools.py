"""Annotation tools that export JSON: found out by content, and read as the tool means it."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.console import InputError
from tests.formats.support import MENTIONS, TEXT, jsonl, labels, mentions, read

SPANS: list[Any] = [[0, 3, "PER"], [9, 13, "LOC"]]
OBJECTS = [{"start": a, "end": b, "label": label} for a, b, label in SPANS]
RESULT = [
    {
        "id": str(a),
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": a, "end": b, "text": TEXT[a:b], "labels": [label]},
    }
    for a, b, label in SPANS
]
OTHER = [{"value": {"start": 0, "end": 3, "text": "Ada", "labels": ["ORG"]}, "type": "labels"}]


def task(*results: Any, text: str = TEXT, **fields: Any) -> dict[str, Any]:
    annotations = [{"result": result, "was_cancelled": False} for result in results]
    return {"id": 1, "data": {"text": text}, "annotations": annotations, "predictions": []} | fields


FORMS: list[tuple[str, Any]] = [
    ("jsonl", {"text": TEXT, "mentions": OBJECTS}),
    ("jsonl", {"text": TEXT, "spans": OBJECTS, "meta": {"a": 1}}),
    ("jsonl", {"text": TEXT, "entities": SPANS}),
    ("doccano", {"id": 7, "text": TEXT, "label": SPANS, "Comments": []}),
    ("doccano", {"id": 7, "text": TEXT, "labels": SPANS}),
    (
        "doccano",
        {
            "text": TEXT,
            "entities": [
                {"id": a, "label": label, "start_offset": a, "end_offset": b}
                for a, b, label in SPANS
            ],
            "relations": [],
        },
    ),
    (
        "prodigy",
        {
            "text": TEXT,
            "spans": [
                {"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"},
                {"start": 9, "end": 13, "token_start": 2, "token_end": 2, "label": "LOC"},
            ],
            "_input_hash": 1,
            "_task_hash": 2,
            "_view_id": "ner_manual",
            "answer": "accept",
        },
    ),
    ("labelstudio", task(RESULT)),
    ("labelstudio", task(RESULT, data={"id": "a1", "text": TEXT})),
    ("labelstudio-min", {"text": TEXT, "id": 1, "label": [r["value"] for r in RESULT]}),
    (
        "argilla",
        {
            "id": "7",
            "status": "completed",
            "fields": {"text": TEXT},
            "suggestions": {"ner": {"value": [], "score": 0.9, "agent": "m"}},
            "responses": {"ner": [{"value": OBJECTS, "user_id": "u"}]},
        },
    ),
    (
        "argilla",
        {
            "id": "7",
            "text": TEXT,
            "ner.responses": [OBJECTS],
            "ner.responses.status": ["submitted"],
            "ner.suggestion": [],
        },
    ),
    (
        "ubiai",
        {
            "document": TEXT,
            "tokens": [
                {"text": TEXT[a:b], "start": a, "end": b, "entityLabel": label}
                for a, b, label in SPANS
            ],
            "relations": [],
        },
    ),
    ("tuples", [TEXT, {"entities": SPANS}]),
    ("tuples", {"classes": ["PER"], "annotations": [[TEXT, {"entities": SPANS}], None]}),
]


@pytest.mark.parametrize(("name", "record"), FORMS)
@pytest.mark.parametrize("form", ["jsonl", "array", "pretty"])
def test_form_is_found_out_and_read(name: str, record: Any, form: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.json", record)
    if form != "jsonl":
        path.write_text(json.dumps([record], indent=2 if form == "pretty" else None))
    found, (doc,), issues = read(path)
    assert found == name
    assert doc.text == TEXT
    assert mentions(doc) == MENTIONS
    assert labels(doc) == ["B", "O", "B", "O"]
    assert issues == []


def prodigy(answer: str = "accept", view: str = "ner_manual", **fields: Any) -> dict[str, Any]:
    return {"text": TEXT, "spans": OBJECTS, "answer": answer, "_view_id": view} | fields


def test_prodigy_only_accepted_tasks_are_used(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", prodigy("reject"), prodigy("ignore"), prodigy())
    _, docs, issues = read(path)
    assert len(docs) == 1
    assert [i.reason for i in issues] == ["the answer is 'reject'", "the answer is 'ignore'"]
    assert issues[0].record.endswith("in.jsonl:1")


def test_prodigy_partial_tasks_on_one_input_are_joined(tmp_path: Path) -> None:
    """ner.teach asks about one mention at a time: other words stay unknown."""
    first = prodigy(view="ner", _input_hash=1, spans=OBJECTS[:1])
    second = prodigy(view="ner", _input_hash=1, spans=OBJECTS[1:])
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", first, second))
    assert mentions(doc) == MENTIONS
    assert labels(doc) == ["B", "?", "B", "?"]
    assert issues == []


def test_prodigy_of_complete_tasks_on_one_input_the_last_is_used(tmp_path: Path) -> None:
    first = prodigy(_input_hash=1, spans=OBJECTS[:1])
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", first, prodigy(_input_hash=1)))
    assert mentions(doc) == MENTIONS
    assert [issue.reason for issue in issues] == ["annotated again later"]


def test_prodigy_words_are_kept(tmp_path: Path) -> None:
    tokens = [{"text": word, "id": i} for i, word in enumerate(["A", "da", "left", "Oslo", "."])]
    _, (doc,), _ = read(jsonl(tmp_path / "in.jsonl", prodigy(tokens=tokens)))
    assert [token.text for token in doc] == ["A", "da", "left", "Oslo", "."]
    assert mentions(doc) == MENTIONS


def test_labelstudio_cancelled_and_unannotated_tasks_are_listed(tmp_path: Path) -> None:
    cancelled = task(RESULT)
    cancelled["annotations"][0]["was_cancelled"] = True
    predicted = task(predictions=[{"result": RESULT}])
    path = jsonl(tmp_path / "in.jsonl", cancelled, predicted, task(RESULT))
    _, docs, issues = read(path)
    assert len(docs) == 1
    assert [issue.reason for issue in issues] == ["cancelled", "no annotation"]


def test_labelstudio_of_annotations_that_differ_the_first_is_used(tmp_path: Path) -> None:
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", task(RESULT, RESULT), task(RESULT, OTHER)))
    assert [mentions(doc) for doc in docs] == [MENTIONS, MENTIONS]
    assert [i.reason for i in issues] == ["another annotation of the task, which differs, is used"]


def test_labelstudio_other_results_are_ignored(tmp_path: Path) -> None:
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    choice = {"type": "choices", "value": {"choices": ["news"]}}
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task([relation, choice, *RESULT])))
    assert mentions(doc) == MENTIONS
    assert issues == []


@pytest.mark.parametrize("unit", ["code points", "UTF-16"])
def test_labelstudio_offsets_are_those_that_fit_the_stated_text(unit: str, tmp_path: Path) -> None:
    text = "😀 Ada left 😀 Oslo."
    shift = [1, 2] if unit == "UTF-16" else [0, 0]
    spans = [
        (2 + shift[0], 5 + shift[0], "Ada", "PER"),
        (13 + shift[1], 17 + shift[1], "Oslo", "LOC"),
    ]
    result = [
        {"value": {"start": a, "end": b, "text": words, "labels": [label]}}
        for a, b, words, label in spans
    ]
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task(result, text=text)))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_a_text_that_is_not_the_stated_one_is_listed(tmp_path: Path) -> None:
    result = [{"value": {"start": 0, "end": 3, "text": "Bob", "labels": ["PER"]}}]
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task(result)))
    assert labels(doc) == ["?", "O", "O", "O"]
    assert [issue.reason for issue in issues] == ["its text is not the stated one: Bob"]


def test_labelstudio_hypertext_needs_global_offsets(tmp_path: Path) -> None:
    value = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "text": "Ada", "labels": ["PER"]}
    with_offsets = value | {"globalOffsets": {"start": 0, "end": 3}}
    path = jsonl(tmp_path / "in.jsonl", task([{"value": with_offsets}]), task([{"value": value}]))
    _, (first, second), issues = read(path)
    assert (mentions(first), mentions(second)) == ([("Ada", "PER")], [])
    assert [i.reason for i in issues] == ["a position in hypertext, without global offsets"]


def test_labelstudio_min_has_one_record_per_annotation(tmp_path: Path) -> None:
    records = [
        {"text": TEXT, "id": 1, "annotation_id": i, "label": [item["value"] for item in result]}
        for i, result in enumerate((RESULT, RESULT, OTHER))
    ]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *records))
    assert [mentions(doc) for doc in docs] == [MENTIONS]
    assert [i.reason for i in issues] == ["another annotation of the text, which differs, is used"]


def test_argilla_drafts_are_not_used(tmp_path: Path) -> None:
    flat = {"text": TEXT, "ner.responses": [OBJECTS], "ner.responses.status": ["draft"]}
    nested = {
        "status": "pending",
        "fields": {"text": TEXT},
        "responses": {"ner": [{"value": OBJECTS}]},
    }
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", flat, nested))
    assert docs == []
    assert [issue.reason for issue in issues] == ["no submitted response"] * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "in.jsonl is empty"),
        ('{"text": "Ada", "mentions": []}\n{"text": "A', "in.jsonl:2: not JSON"),
        ('{"text": "Ada", "mentions": []}\n{"text": "Ada"}', "in.jsonl:2: no field of mentions"),
        ('{"text": "Ada", "mentions": []}\n["Ada"]', 'in.jsonl:2: no field "text"'),
        (
            '{"text": "Ada", "mentions": [{"start": "0", "end": 1, "label": "X"}]}',
            "\"start\" is '0'",
        ),
        ('{"text": "Ada", "mentions": [[0, 1]]}', "in.jsonl:1: [0, 1] is no mention"),
        ('{"text": "Ada", "mentions": [], "spans": []}', "more than one field of mentions"),
        ('{"words": ["Ada"]}', "is JSON, but of no known format: brat, webanno"),
    ],
)
def test_a_broken_file_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read(path)
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_surrogates_in_json_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "Ada \\ud800", "mentions": []}\n')
    with pytest.raises(InputError, match=r"in.jsonl:1: the text has an unpaired surrogate"):
        read(path)
