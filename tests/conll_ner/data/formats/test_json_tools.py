"""Annotation tools that export JSON: recognised by content, and read as the tool defines it."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conll_ner.common.console import InputError
from conll_ner.data.formats.reading import detect
from tests.conll_ner.data.formats.support import (
    MENTIONS,
    OBJECTS,
    RESULT,
    SPANS,
    TEXT,
    jsonl,
    labels,
    mentions,
    read,
    task,
)

LIGHTTAG = {
    "content": TEXT,
    "annotations": [
        {"start": a, "end": b, "tag": label, "value": TEXT[a:b], "annotated_by": []}
        for a, b, label in SPANS
    ],
}
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
    (
        "dataturks",
        {
            "content": TEXT,
            "annotation": [
                {"label": [label], "points": [{"start": a, "end": b - 1, "text": TEXT[a:b]}]}
                for a, b, label in SPANS
            ],
            "extras": None,
        },
    ),
    ("cluener", {"text": TEXT, "label": {c: {TEXT[a:b]: [[a, b - 1]]} for a, b, c in SPANS}}),
    (
        "stockmark",
        {
            "curid": "1",
            "text": TEXT,
            "entities": [{"name": TEXT[a:b], "span": [a, b], "type": c} for a, b, c in SPANS],
        },
    ),
    (
        "rasa",
        {
            "rasa_nlu_data": {
                "common_examples": [
                    {
                        "text": TEXT,
                        "intent": "x",
                        "entities": [
                            {"start": a, "end": b, "value": "a synonym", "entity": c}
                            for a, b, c in SPANS
                        ],
                    }
                ]
            }
        },
    ),
    ("lighttag", LIGHTTAG),
    ("lighttag", {"project": "x", "examples": [LIGHTTAG]}),
    ("doccano", {"id": 7, "data": TEXT, "label": SPANS}),
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "in.jsonl has no records"),
        ('{"text": "Ada", "mentions": []}\n{"text": "A', "in.jsonl:2: not JSON"),
        ('{"text": "Ada", "mentions": []}\n{"text": "Ada"}', "in.jsonl:2: no field of mentions"),
        ('{"text": "Ada", "mentions": []}\n["Ada"]', 'in.jsonl:2: no field "text"'),
        (
            '{"text": "Ada", "mentions": [{"start": "0", "end": 1, "label": "X"}]}',
            "\"start\" is '0'",
        ),
        ('{"text": "Ada", "mentions": [[0, 1]]}', "in.jsonl:1: [0, 1] is no mention"),
        ('{"text": "Ada", "mentions": [], "spans": []}', "more than one field of mentions"),
        ('{"words": ["Ada"]}', "is JSON, but of no known format; write"),
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


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        5,
        0.5,
        1e30,
        "",
        "Ada",
        "\n",
        "start",
        [],
        [[]],
        [5],
        ["Ada"],
        {},
        {"a": 1},
    ]
)


def replace_one(draw: st.DrawFn, value: Any) -> Any:
    """RETURNS (Any): The value with something in it replaced or, in an object, removed."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    changed: Any = value.copy()
    if draw(st.integers(0, 5)) == 0:
        del changed[key]
    else:
        changed[key] = replace_one(draw, value[key])
    return changed


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Any, Any]:
    name, record = draw(st.sampled_from(FORMS))
    changed = record
    for _ in range(draw(st.integers(1, 3))):
        changed = replace_one(draw, changed)
    return name, record, changed


@given(damaged())
def test_a_damaged_record_is_read_or_named_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, Any, Any]
) -> None:
    name, record, changed = case
    path = jsonl(tmp_path_factory.mktemp("in") / "in.jsonl", record, changed)
    try:
        _, docs, issues = read(path, format=name)
    except InputError as error:
        assert f"{path}:2" in str(error)
        assert len(str(error).splitlines()) == 1
    else:
        assert docs or issues
        for issue in issues:
            assert json.loads(issue.to_json())["record"].startswith(str(path))
    first = jsonl(path, changed)
    with suppress(InputError):
        detect(first)
