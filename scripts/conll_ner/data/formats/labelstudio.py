"""Label Studio's JSON and JSON-MIN exports
(https://labelstud.io/guide/export, https://labelstud.io/tags/labels)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import Annotated, Issue, Reading
from conll_ner.data.formats.json_records import get, get_objects, read_json_records
from conll_ner.data.formats.stated import (
    Stated,
    check_stated,
    count_right,
    find_text,
    get_stated,
    read_units,
)
from conll_ner.data.mentions import CharMention

# Fields of a mention's labels: those of the tags Labels, HyperTextLabels and ParagraphLabels.
LABELS = ("labels", "hypertextlabels", "paragraphlabels")
# Strings of JSON-MIN that aren't data.
NO_TEXTS = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
DIFFERS = "another annotation of the task, which differs, is used"
QUOTED = 200  # characters of a text that an issue quotes


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


def read_labelstudio(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read the tasks that have an annotation that wasn't cancelled. Of several that differ, the
    first is used. Predictions aren't used: nobody has confirmed them. A task whose mentions are in
    several texts is a record for each."""
    fields = Fields()
    for where, record in read_json_records(path, reading.encoding):
        strings = find_strings(get(record, "data", dict, where))
        name = "annotations" if "annotations" in record else "completions"
        found = get_objects(record, name, where)
        used = [item for item in found if not item.get("was_cancelled")]
        if not used:
            text = strings.get(fields.find(strings, "", []) or "", "")[:QUOTED]
            yield Issue(where, "cancelled" if found else "no annotation", text)
            continue
        mentions = [
            [item for item in get_objects(annotation, "result", where) if is_mention(item)]
            for annotation in used
        ]
        tags: dict[str, list[Any]] = {}  # the text's tag in the interface -> values
        for item in mentions[0]:
            tags.setdefault(str(item.get("to_name", "")), []).append(item["value"])
        read = [
            read_values(where, strings, values, fields, tag)
            for tag, values in (tags or {"": []}).items()
        ]
        for other in mentions[1:]:
            if compare(other) != compare(mentions[0]):
                yield Issue(where, DIFFERS, read[0].text[:QUOTED])
        yield from read


def read_labelstudio_min(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read annotations one by one. Of several of one task, the first is used."""
    fields = Fields()
    seen: dict[str, tuple[set[str], str]] = {}  # task -> mentions and text of its first annotation
    for where, record in read_json_records(path, reading.encoding):
        if not isinstance(record, dict):
            raise InputError(f"{where}: not an object")
        values = find_values(record)
        strings = {k: v for k, v in find_strings(record).items() if k not in NO_TEXTS}
        mentions = compare([{"value": value} for value in values])
        task = repr((record.get("id"), strings if record.get("id") is None else None))
        if task not in seen:
            read = read_values(where, strings, values, fields)
            seen[task] = mentions, read.text[:QUOTED]
            yield read
        elif mentions != seen[task][0]:
            yield Issue(where, DIFFERS, seen[task][1])


class Fields:
    """Finds the field of a task's data that is the text. Only the labelling interface of the
    project says which one it is."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}  # the text's tag in the interface -> field

    def find(self, strings: dict[str, str], tag: str, stated: list[Stated]) -> str | None:
        """RETURNS (str | None): The field that fits the stated texts best. Of equal ones, that of
        the tag in earlier tasks, the one with the tag's name, that of another tag, "text", or the
        only one. None if that doesn't decide."""
        likely = [self.found.get(tag, ""), tag, *self.found.values(), "text"]
        likely = [name for name in likely if name in strings]
        candidates = list(dict.fromkeys([*likely, *strings]))
        if len(candidates) == 1:
            likely = candidates
        fits = {name: count_best(strings[name], stated) for name in candidates}
        best = [name for name in candidates if fits[name] == max(fits.values())]
        if not best or (not likely and len(best) > 1):
            return None
        if fits[best[0]]:
            self.found[tag] = best[0]
        return best[0]


def count_best(text: str, stated: list[Stated]) -> int:
    return max(count_right(text, reading) for reading in read_units(text, stated))


def find_strings(data: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in data.items() if isinstance(value, str)}


def is_mention(item: dict[str, Any]) -> bool:
    """RETURNS (bool): Whether a result is a mention, with labels or without. Others are relations,
    choices and so on."""
    value = item.get("value")
    return is_value(value) or (item.get("type") in LABELS and is_region(value))


def is_value(value: Any) -> bool:
    return is_region(value) and find_labels(value) is not None


def is_region(value: Any) -> bool:
    return isinstance(value, dict) and "start" in value and "end" in value


def find_labels(value: dict[str, Any]) -> list[Any] | None:
    return next((value[name] for name in LABELS if isinstance(value.get(name), list)), None)


def find_values(record: dict[str, Any]) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): The mentions of a JSON-MIN record, in fields of any name."""
    lists = [value for value in record.values() if isinstance(value, list)]
    return [value for values in lists if all(map(is_value, values)) for value in values]


def compare(mentions: list[Any]) -> set[str]:
    """RETURNS (set[str]): What has to be equal for two annotations to be the same."""
    return {
        repr((item.get("to_name"), sorted((k, v) for k, v in item["value"].items() if k != "text")))
        for item in mentions
    }


def read_values(
    where: str, strings: dict[str, str], values: list[Any], fields: Fields, tag: str = ""
) -> Annotated | Issue:
    """RETURNS (Annotated | Issue): A text of a task with its mentions. What can't be placed is
    listed, and unknown where its text occurs; if it doesn't, all other words are unknown.

    strings (dict[str, str]): What could be the text.
    tag (str): The name of the text's tag in the labelling interface.
    """
    stated: list[Stated] = []
    hidden: list[tuple[str, str, str]] = []  # reason, text, label
    for value in values:
        words = get_stated(value, where)
        offsets, problem = find_offsets(value, words, strings)
        for label in find_labels(value) or [""]:
            if not isinstance(label, str):
                raise InputError(f"{where}: the label {shorten(repr(label))} is no string")
            if offsets is None:
                hidden.append((problem, words or "", label))
            else:
                stated.append((CharMention(*offsets, label), words))
    field = fields.find(strings, tag, stated)
    if field is None:
        names = ", ".join(map(shorten, strings)) or "none"
        reason = f"which of its strings is the text isn't known: {names}"
        return Issue(where, reason, next(iter(strings.values()), "")[:QUOTED])
    text = strings[field]
    issues = [Issue(where, reason, words, label) for reason, words, label in hidden]
    record = check_stated(where, text, stated, issues)
    places = [find_text(text, words) for _, words, _ in hidden]
    unknown = [*record.unknown, *(bounds for found in places for bounds in found)]
    return replace(record, unknown=unknown, is_complete=all(places))


def find_offsets(
    value: dict[str, Any], words: str | None, strings: dict[str, str]
) -> tuple[tuple[int, int] | None, str]:
    """RETURNS (tuple[tuple[int, int] | None, str]): Start and end of a mention, or the reason why
    there are none. In hypertext, start and end are XPaths; the global offsets count characters of
    what the browser shows, so that only the mention's text tells whether they fit the source
    (https://github.com/HumanSignal/label-studio/issues/4843)."""
    in_hypertext = isinstance(value["start"], str)
    offsets = value.get("globalOffsets") if in_hypertext else value
    start, end = (
        (offsets.get("start"), offsets.get("end")) if isinstance(offsets, dict) else (None, None)
    )
    if not isinstance(start, int) or not isinstance(end, int):
        kind = "in hypertext, without global offsets" if in_hypertext else "that is no character"
        return None, f"a position {kind}"
    if in_hypertext and words is None and any("<" in text for text in strings.values()):
        return None, "a position in hypertext, without its text"
    return (start, end), ""
