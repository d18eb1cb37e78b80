"""Prodigy's JSONL (https://prodi.gy/docs/api-interfaces#ner_manual)."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from formats.annotated import Annotated, Issue, Span
from formats.json_records import get, read_json_records
from formats.plain import read_span

MARKS = ("_input_hash", "_task_hash", "_view_id", "answer")
# The interface of ner.teach and ner.correct's binary questions: one mention is judged at a time.
PARTIAL_VIEWS = ("ner",)


def is_prodigy(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is a task of Prodigy."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("text"), str)
        and (any(name in record for name in MARKS) or "token_start" in first_span(record))
    )


def first_span(record: dict[str, Any]) -> dict[str, Any]:
    spans = record.get("spans")
    return spans[0] if isinstance(spans, list) and spans and isinstance(spans[0], dict) else {}


def read_prodigy(path: Path, encoding: str | None) -> Iterator[Annotated | Issue]:
    """Read tasks whose answer is "accept". Others are left out. What isn't labelled in tasks of
    `ner.teach` is unknown. Tasks on the same input that follow each other are one record: partial
    ones together, of complete ones the last."""
    records = read_json_records(path, encoding)
    for _, group in groupby(enumerate(records), key=lambda item: input_hash(item)):
        tasks = []
        for _, (where, record) in group:
            text = get(record, "text", str, where)
            answer = record.get("answer", "accept")
            if answer != "accept":
                yield Issue(where, f"the answer is {answer!r}", text)
            else:
                tasks.append(read_task(where, record, text))
        yield from merge(tasks)


def input_hash(item: tuple[int, tuple[str, Any]]) -> Any:
    """RETURNS (Any): What tasks on one input share; for tasks without a hash, something of their
    own."""
    number, (_, record) = item
    value = record.get("_input_hash") if isinstance(record, dict) else None
    return (value, record.get("text")) if value is not None else number


def read_task(where: str, record: dict[str, Any], text: str) -> Annotated:
    spans = record.get("spans") or []
    words = [get(token, "text", str, where) for token in record.get("tokens") or []]
    return Annotated(
        where,
        text,
        [read_span(span, where) for span in spans],
        words=words if is_tokenized(words, text) else None,
        is_complete=record.get("_view_id") not in PARTIAL_VIEWS,
    )


def is_tokenized(words: list[str], text: str) -> bool:
    """RETURNS (bool): Whether words make up a text, but for whitespace."""
    return bool(words) and "".join("".join(words).split()) == "".join(text.split())


def merge(tasks: list[Annotated]) -> Iterator[Annotated | Issue]:
    """YIELDS (Annotated | Issue): One record of the tasks on one input, and the others."""
    if not tasks:
        return
    complete = [task for task in tasks if task.is_complete]
    if complete:
        for task in tasks:
            if task is not complete[-1]:
                yield Issue(task.record, "annotated again later", task.text)
        yield complete[-1]
        return
    mentions: dict[Span, None] = dict.fromkeys(m for task in tasks for m in task.mentions)
    first = tasks[0]
    yield Annotated(first.record, first.text, list(mentions), first.words, is_complete=False)
