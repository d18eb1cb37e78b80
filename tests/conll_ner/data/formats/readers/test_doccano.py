"""doccano's exports, without relations and with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import MENTIONS, SPANS, TEXT, jsonl, mentions, read

ENTITIES = [
    {"id": i, "label": label, "start_offset": start, "end_offset": end}
    for i, (start, end, label) in enumerate(SPANS)
]


def test_a_file_may_start_with_a_text_without_mentions(tmp_path: Path) -> None:
    for empty, record in (
        ({"text": "Bo.", "label": []}, {"text": TEXT, "label": SPANS}),
        ({"text": "Bo.", "entities": [], "Comments": []}, {"text": TEXT, "entities": ENTITIES}),
    ):
        name, docs, issues = read(jsonl(tmp_path / "in.jsonl", empty, record))
        assert name == "doccano"
        assert [mentions(doc) for doc in docs] == [[], MENTIONS]
        assert issues == []


@pytest.mark.parametrize(
    "fields",
    [
        {"label": SPANS, "entities": ["a word of the metadata"]},
        {"label": SPANS, "labels": "metadata"},
        {"labels": SPANS, "label": "metadata"},
        {"entities": ENTITIES, "relations": [], "label": "metadata"},
    ],
)
def test_metadata_may_have_the_name_of_the_mentions(fields: dict[str, Any], tmp_path: Path) -> None:
    """Its keys are exported beside the others."""
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", {"text": TEXT} | fields))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_overlapping_mentions_are_listed(tmp_path: Path) -> None:
    record = {"text": TEXT, "label": [*SPANS, [0, 8, "EVENT"]]}
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", record))
    assert mentions(doc) == [("Ada left", "EVENT"), ("Oslo", "LOC")]
    assert [issue.reason for issue in issues] == ["overlaps with EVENT: Ada left"]


def test_offsets_that_a_carriage_return_shifted_are_listed(tmp_path: Path) -> None:
    record = {"text": "Ada left\r\nOslo.", "label": [[9, 13, "LOC"]]}
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", record))
    assert doc.text == "Ada left\r\nOslo."
    assert mentions(doc) == []
    assert [(issue.reason, issue.text) for issue in issues] == [
        ("its edges are within words", "\nOsl")
    ]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"text": TEXT, "label": ["news"]}, "'news' is no mention"),
        ({"text": TEXT, "label": None}, 'the field "label" is None'),
        ({"text": TEXT}, 'no field "label"'),
        ({"text": TEXT, "entities": [5]}, 'the field "entities" has no mentions of doccano'),
        ({"text": TEXT, "entities": [{"start_offset": 0}]}, 'no field "end_offset"'),
        (5, 'no field "text"'),
    ],
)
def test_a_broken_record_is_one_line(record: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(jsonl(tmp_path / "in.jsonl", {"text": TEXT, "label": SPANS}, record))
    assert str(error.value).endswith(f"in.jsonl:2: {words}")


def test_version_1_has_numbers_as_labels_and_their_names_beside(tmp_path: Path) -> None:
    items = [
        {"id": i, "label": i + 5, "start_offset": a, "end_offset": b, "user": 1}
        for i, (a, b, _) in enumerate(SPANS)
    ]
    path = jsonl(tmp_path / "in.jsonl", {"id": 1, "text": TEXT, "annotations": items, "meta": {}})
    with pytest.raises(InputError, match=r"in\.jsonl:1: no name for the label 5; put doccano"):
        read(path)
    names = [{"id": i + 5, "text": label} for i, (_, _, label) in enumerate(SPANS)]
    (tmp_path / "label_config.json").write_text(json.dumps(names, indent=1))
    name, (doc,), issues = read(path)
    assert name == "doccano"
    assert mentions(doc) == MENTIONS
    assert issues == []
