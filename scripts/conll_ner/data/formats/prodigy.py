"""Prodigy's JSONL (https://prodi.gy/docs/api-interfaces#ner_manual)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import Annotated, Issue, Reading
from conll_ner.data.formats.json_records import get, get_objects, read_json_records
from conll_ner.data.formats.plain import read_stated
from conll_ner.data.formats.stated import check_stated
from conll_ner.data.formats.words import find_words

MARKS = ("_input_hash", "_task_hash", "_view_id", "answer")
# The interface of ner.teach, which asks about single mentions (https://prodi.gy/docs/recipes).
BINARY_VIEW = "ner"
# Interfaces that show mentions, by how their names start. A task of another one, such as "choice",
# has none because nobody was asked for any.
MENTION_VIEWS = ("ner", "spans", "relations", "blocks", "pages", "review")


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


def read_prodigy(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read tasks whose answer is "accept". Others are left out. What isn't labelled in tasks of
    `ner.teach` is unknown. Accepted tasks on the same input are one record, in the place of the
    last: partial ones together, of complete ones the last.

    The file is read twice, so that only tasks whose input comes again are kept in memory.
    """
    left = Counter(input_hash(record) for _, record in read_json_records(path, reading.encoding))
    tasks: dict[int, list[Annotated]] = {}
    for where, record in read_json_records(path, reading.encoding):
        key = input_hash(record)
        task = read_task(where, record)
        if isinstance(task, Issue) or key is None:
            yield task
        else:
            tasks.setdefault(key, []).append(task)
        left[key] -= 1
        if key is not None and not left[key]:
            yield from merge(tasks.pop(key, []))


def input_hash(record: Any) -> int | None:
    """RETURNS (int | None): A number that tasks on one input share; None for a task without."""
    value = record.get("_input_hash") if isinstance(record, dict) else None
    # Prodigy's own hash has 32 bits only.
    return None if value is None else hash((str(value), str(record.get("text"))))


def read_task(where: str, record: dict[str, Any]) -> Annotated | Issue:
    """RETURNS (Annotated | Issue): A task, or why it isn't used."""
    text = get(record, "text", str, where)
    answer = record.get("answer", "accept")
    if answer != "accept":
        return Issue(where, f"the answer is {answer!r}", text)
    view = record.get("_view_id")
    if record.get("spans") is None:
        if "answer" not in record:
            return Issue(where, "neither an answer nor mentions", text)
        if isinstance(view, str) and not view.startswith(MENTION_VIEWS):
            return Issue(where, f"a task of the interface {view!r}, which has no mentions", text)
    spans = [read_stated(span, where) for span in get_objects(record, "spans", where)]
    words = [get(token, "text", str, where) for token in get_objects(record, "tokens", where)]
    return replace(
        check_stated(where, text, spans),
        words=words if is_tokenized(words, text, where) else None,
        is_complete=view != BINARY_VIEW and record.get("_is_binary") is not True,
    )


def is_tokenized(words: list[str], text: str, where: str) -> bool:
    """RETURNS (bool): Whether words make up a text, but for whitespace."""
    visible = [word for word in words if not word.isspace()]
    try:
        bounds = find_words(visible, text, where)
    except InputError:
        return False
    return bool(bounds) and not text[bounds[-1][1] :].strip()


def merge(tasks: list[Annotated]) -> Iterator[Annotated | Issue]:
    """YIELDS (Annotated | Issue): One record of the tasks on one input, and those that it
    replaces."""
    complete = [task for task in tasks if task.is_complete]
    if complete:
        for task in tasks:
            if task is not complete[-1]:
                reason = "annotated again later" if task.is_complete else "annotated completely"
                yield Issue(task.record, reason, task.text)
        yield complete[-1]
    elif tasks:
        yield replace(
            tasks[0],
            mentions=list(dict.fromkeys(m for task in tasks for m in task.mentions)),
            words=next((task.words for task in tasks if task.words), None),
            issues=[issue for task in tasks for issue in task.issues],
        )
