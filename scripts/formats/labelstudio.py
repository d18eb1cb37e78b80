"""Label Studio's JSON and JSON-MIN exports
(https://labelstud.io/guide/export, https://labelstud.io/tags/labels)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.console import InputError
from formats.annotated import Annotated, Issue, Span
from formats.json_records import get, read_json_records
from formats.stated import Stated, check_stated

NO_VALUES = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")


def is_labelstudio(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is a task of Label Studio's JSON."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("data"), dict)
        and any(name in record for name in ("annotations", "completions", "predictions"))
    )


def is_labelstudio_min(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is an annotation of Label Studio's JSON-MIN."""
    return isinstance(record, dict) and ("annotation_id" in record or find_values(record) != [])


def read_labelstudio(path: Path, encoding: str | None) -> Iterator[Annotated | Issue]:
    """Read the tasks that have an annotation that wasn't cancelled. Of several that differ, the
    first is used. Predictions aren't used: nobody has confirmed them."""
    for where, record in read_json_records(path, encoding):
        data = get(record, "data", dict, where)
        found = record.get("annotations", record.get("completions")) or []
        used = [item for item in found if not item.get("was_cancelled")]
        if not used:
            problem = "cancelled" if found else "no annotation"
            yield Issue(where, problem, str(find_text(data, [], where))[:200])
            continue
        results = [get(item, "result", list, where) for item in used]
        text = find_text(data, results[0], where)
        values = [[value_of(item) for item in result] for result in results]
        for other in values[1:]:
            if compare(other) != compare(values[0]):
                yield Issue(where, "another annotation of the task, which differs, is used", text)
        yield read_values(where, text, [value for value in values[0] if value is not None])


def read_labelstudio_min(path: Path, encoding: str | None) -> Iterator[Annotated | Issue]:
    """Read annotations one by one. Of several on one text, the first is used."""
    seen: dict[str, list[Any]] = {}
    for where, record in read_json_records(path, encoding):
        if not isinstance(record, dict):
            raise InputError(f"{where}: not an object")
        values = find_values(record)
        texts = {k: v for k, v in record.items() if isinstance(v, str) and k not in NO_VALUES}
        text = texts.get("text") or max(texts.values(), key=len, default=None)
        if text is None:
            raise InputError(f"{where}: no field with a text")
        if text in seen:
            if compare(values) != compare(seen[text]):
                yield Issue(where, "another annotation of the text, which differs, is used", text)
            continue
        seen[text] = values
        yield read_values(where, text, values)


def find_text(data: dict[str, Any], result: list[Any], where: str) -> str:
    """RETURNS (str): The text that the mentions are in: the data's field "text", its only string,
    or the one that the control names."""
    names = {str(item.get("to_name")) for item in result if isinstance(item, dict)}
    strings = {name: value for name, value in data.items() if isinstance(value, str)}
    for name in ("text", *sorted(names)):
        if name in strings:
            return strings[name]
    if len(strings) != 1:
        listed = ", ".join(sorted(strings)) or "none"
        raise InputError(f'{where}: no field "text" in data; its strings are {listed}')
    return next(iter(strings.values()))


def value_of(item: Any) -> dict[str, Any] | None:
    """RETURNS (dict[str, Any] | None): The value of a result that is a mention, None for others,
    such as relations and choices."""
    value = item.get("value") if isinstance(item, dict) else None
    return value if isinstance(value, dict) and is_value(value) else None


def is_value(value: Any) -> bool:
    return isinstance(value, dict) and "start" in value and "end" in value and "labels" in value


def find_values(record: dict[str, Any]) -> list[Any]:
    """RETURNS (list[Any]): The mentions of a JSON-MIN record, in a field of any name."""
    lists = [value for value in record.values() if isinstance(value, list)]
    return next((items for items in lists if items and all(map(is_value, items))), [])


def compare(values: list[Any]) -> set[tuple[Any, ...]]:
    """RETURNS (set): What has to be equal for two annotations to be the same."""
    return {(v["start"], v["end"], *v["labels"]) for v in values if v is not None}


def read_values(where: str, text: str, values: list[Any]) -> Annotated:
    """RETURNS (Annotated): The text with its mentions. Offsets of hypertext are the global ones;
    without these, its mentions are left out."""
    stated: list[Stated] = []
    issues = []
    for value in values:
        offsets = value.get("globalOffsets", value)
        start, end = offsets.get("start"), offsets.get("end")
        if not isinstance(start, int) or not isinstance(end, int):
            reason = "a position in hypertext, without global offsets"
            issues.append(Issue(where, reason, str(value.get("text", "")), str(value["labels"])))
            continue
        for label in value["labels"]:
            stated.append((Span(start, end, str(label)), value.get("text")))
    return check_stated(where, text, stated, issues)
