"""Label Studio's annotations one by one, as the service writes them: of each, the last version."""

from pathlib import Path
from typing import Any

import pytest

from tests.conll_ner.data.formats.support import MENTIONS, RESULT, TEXT, jsonl, mentions, read

PER, LOC = RESULT


def line(task: int, annotation: Any, *result: Any, text: str = TEXT, **fields: Any) -> Any:
    annotations = [{"id": annotation, "result": list(result), **fields}]
    return {"id": task, "data": {"text": text}, "annotations": annotations}


def test_labelstudio_the_last_version_of_an_annotation_is_used(tmp_path: Path) -> None:
    lines = [line(1, 7, PER), line(2, 8, text="x"), line(1, 7, PER, LOC), line(1, 7, LOC)]
    for number, expected in ((3, MENTIONS), (4, MENTIONS[1:])):
        _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *lines[:number]))
        assert [mentions(doc) for doc in docs] == [[], expected]
        assert issues == []


def test_labelstudio_annotations_of_several_people_are_joined(tmp_path: Path) -> None:
    """As in an export: of those that differ, the first is used; versions aren't people."""
    lines = [line(1, 7), line(1, 8, PER), line(1, 7, PER, LOC)]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *lines))
    assert [mentions(doc) for doc in docs] == [MENTIONS]
    assert [i.reason for i in issues] == ["another annotation of the text, which differs, is used"]


def test_labelstudio_a_task_that_was_skipped_after_all_is_no_gold(tmp_path: Path) -> None:
    lines = [line(1, 7, PER), line(1, 7, PER, was_cancelled=True)]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *lines))
    assert docs == []
    assert [issue.reason for issue in issues] == ["cancelled"]


@pytest.mark.parametrize(
    "other",
    [
        line(2, 7, LOC),
        line(1, 7, PER, LOC, text=f"{TEXT} "),
        line(1, None, PER, LOC),
        line(1, 7, PER, LOC) | {"id": None},
    ],
)
def test_labelstudio_other_tasks_and_annotations_are_kept(other: Any, tmp_path: Path) -> None:
    """Of another server with the same numbers, or without numbers."""
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", line(1, 7, PER, LOC), other))
    assert len(docs) == 2
    assert issues == []
