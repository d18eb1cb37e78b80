"""Prodigy's JSONL (https://prodi.gy/docs/api-interfaces#ner_manual)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import QUOTED, Annotated, Issue, Reading
from conll_ner.data.formats.joining import join_copies
from conll_ner.data.formats.json_records import get, get_objects, json_format, read_each
from conll_ner.data.formats.stated import check_stated, read_stated
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
    `ner.teach` is unknown. Accepted tasks on the same input are one record: annotators correct by
    annotating again."""
    return join_copies(lambda: read_each(path, reading, read_task), takes_last=True)


def read_task(where: str, record: Any) -> Iterator[Annotated | Issue]:
    """YIELDS (Annotated | Issue): A task, or why it isn't used."""
    text = get(record, "text", str, where)
    reason = find_reason(record)
    if reason:
        yield Issue(where, reason, text[:QUOTED])
        return
    tokens = get_objects(record, "tokens", where)
    words = [get(token, "text", str, where) for token in tokens]
    spans = []
    for span in get_objects(record, "spans", where):
        mention, stated = read_stated(span, where)
        spans.append((mention, None if are_words(span, tokens) else stated))
    binary = record.get("_view_id") == BINARY_VIEW or record.get("_is_binary") is True
    key = record.get("_input_hash")  # of 32 bits only
    yield replace(
        check_stated(where, text, spans),
        words=words if is_tokenized(words, text, where) else None,
        is_complete=not binary,
        key="" if key is None else f"{key} {text}",
    )


def find_reason(record: dict[str, Any]) -> str:
    """RETURNS (str): Why a task isn't used; empty if it is."""
    answer, view = record.get("answer", "accept"), record.get("_view_id")
    if answer != "accept":
        return f"the answer is {shorten(repr(answer))}"
    if record.get("spans") is None:
        if "answer" not in record:
            return "neither an answer nor mentions"
        if isinstance(view, str) and not view.startswith(MENTION_VIEWS):
            return f"a task of the interface {view!r}, which has no mentions"
    return ""


def are_words(span: dict[str, Any], tokens: list[dict[str, Any]]) -> bool:
    """RETURNS (bool): Whether the words of a mention have its offsets. Then its text isn't needed:
    it is that of before a correction."""
    first, last = span.get("token_start"), span.get("token_end")
    if not isinstance(first, int) or not isinstance(last, int):
        return False
    if not 0 <= first <= last < len(tokens):
        return False
    bounds = tokens[first].get("start"), tokens[last].get("end")
    return bounds == (span.get("start"), span.get("end"))


def is_tokenized(words: list[str], text: str, where: str) -> bool:
    """RETURNS (bool): Whether words make up a text, but for whitespace."""
    visible = [word for word in words if not word.isspace()]
    try:
        bounds = find_words(visible, text, where)
    except InputError:
        return False
    return bool(bounds) and not text[bounds[-1][1] :].strip()


FORMAT = json_format(
    "prodigy",
    "Prodigy",
    f'a "text" and one of {", ".join(MARKS)}',
    is_prodigy,
    read_prodigy,
)
