"""Argilla 2's JSON export of datasets with a span question
(https://docs.argilla.io/latest/how_to_guides/import_export)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.console import InputError
from formats.annotated import Annotated, Issue
from formats.json_records import get, read_json_records
from formats.plain import read_span

FLAT = ".responses"
UNUSED = ("draft", "discarded")


def is_argilla(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is one of Argilla's, in its nested or its flat form."""
    return isinstance(record, dict) and (
        ("fields" in record and ("responses" in record or "suggestions" in record))
        or any(name.endswith(FLAT) for name in record)
    )


def read_argilla(path: Path, encoding: str | None) -> Iterator[Annotated | Issue]:
    """Read the submitted responses to the span question of each record. Suggestions, drafts and
    discarded responses aren't used. Of different responses to one record, the first is used."""
    for where, record in read_json_records(path, encoding):
        text, responses = read_nested(record, where) if "fields" in record else read_flat(record)
        used = [value for value, status in responses if status not in UNUSED]
        if not isinstance(text, str):
            raise InputError(f"{where}: no field with a text")
        if not used:
            yield Issue(where, "no submitted response", text)
            continue
        for other in used[1:]:
            if other != used[0]:
                yield Issue(where, "another response, which differs, is used", text)
        yield Annotated(where, text, [read_span(item, where) for item in used[0]])


def read_nested(record: dict[str, Any], where: str) -> tuple[Any, list[tuple[Any, str]]]:
    """RETURNS (tuple): The text, and value and status of each response with spans. This form has
    the status of the record only: "pending" records have no submitted response."""
    fields = get(record, "fields", dict, where)
    texts = [value for value in fields.values() if isinstance(value, str)]
    status = "draft" if record.get("status") == "pending" else ""
    responses = record.get("responses") or {}
    values = [
        (response.get("value"), response.get("status") or status)
        for answers in responses.values()
        for response in answers
    ]
    return fields.get("text", texts[0] if texts else None), [v for v in values if is_spans(v[0])]


def read_flat(record: dict[str, Any]) -> tuple[Any, list[tuple[Any, str]]]:
    """RETURNS (tuple): As `read_nested`. In this form, each response has its status."""
    found: list[tuple[Any, str]] = []
    for name, values in record.items():
        if name.endswith(FLAT) and values:
            statuses = record.get(f"{name}.status") or [""] * len(values)
            found += zip(values, statuses, strict=True)
    return record.get("text"), [pair for pair in found if is_spans(pair[0])]


def is_spans(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) and "start" in v for v in value)
