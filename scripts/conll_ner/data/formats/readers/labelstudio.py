"""Label Studio's JSON and JSON-MIN exports
(https://labelstud.io/guide/export, https://labelstud.io/tags/labels)."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.common.exact_json import dump_json
from conll_ner.data.formats.annotated import QUOTED, Annotated, Issue, Reading, attempt
from conll_ner.data.formats.joining import join_copies, merge
from conll_ner.data.formats.json_records import (
    get,
    get_objects,
    iterate_records,
    json_format,
    read_each,
)
from conll_ner.data.formats.stated import (
    Stated,
    best_reading,
    check_stated,
    count_right,
    find_text,
    get_stated,
)
from conll_ner.data.mentions import CharMention

# Fields of a mention's labels: those of the tags Labels, HyperTextLabels and ParagraphLabels.
LABELS = ("labels", "hypertextlabels", "paragraphlabels")
# Strings of JSON-MIN that aren't data.
NO_TEXTS = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
# What Label Studio shows where it was given a file, such as /data/upload/1/a.txt.
LINK = re.compile(r"(\w+://|/data/)\S+")


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
    for where, record in join_tasks(lambda: iterate_records(path, reading.encoding)):
        yield from attempt(where, record, lambda where, task: read_task(where, task, fields))


def join_tasks(read: Callable[[], Iterable[tuple[str, Any]]]) -> Iterator[tuple[str, Any]]:
    """Join records of one task, in the place of the last: a webhook sends each version of each
    annotation by itself, with the task. Of the versions of an annotation, the last is kept.

    read (Callable): Gives places and records. They are read twice, as by `join_copies`.
    YIELDS (tuple[str, Any]): Places and records as of an export, where a task comes once.
    """
    left = Counter(task_key(record) for _, record in read())
    versions: dict[int, dict[int, Any]] = {}
    for where, record in read():
        key = task_key(record)
        if key is None or (left[key] < 2 and key not in versions):
            yield where, record
            continue
        left[key] -= 1
        versions.setdefault(key, {}).update({each["id"]: each for each in record["annotations"]})
        if left[key] < 1:
            yield where, record | {"annotations": list(versions.pop(key).values())}


def task_key(record: Any) -> int | None:
    """RETURNS (int | None): The same for all records of a task; None if they can't be joined."""
    try:
        has_ids = all(isinstance(each["id"], int) for each in record["annotations"])
        return hash(dump_json([record["id"], record["data"]])) if has_ids else None
    except (KeyError, TypeError):
        return None


def read_task(where: str, record: Any, fields: "Fields") -> Iterator[Annotated | Issue]:
    strings = find_strings(get(record, "data", dict, where))
    name = "annotations" if "annotations" in record else "completions"
    found = get_objects(record, name, where)
    used = [item for item in found if not item.get("was_cancelled")]
    results = [get_objects(annotation, "result", where) for annotation in used]
    regions = [list(filter(is_region, result)) for result in results]
    # An annotation with other results alone, such as choices, says nothing about mentions.
    regions = [mine for mine, result in zip(regions, results, strict=True) if mine or not result]
    reason = "cancelled" if found else "no annotation"
    reason = "only classified: nobody looked for mentions" if used else reason
    if not regions:
        text = strings.get(fields.find(strings, "", []) or "", "")[:QUOTED]
        yield Issue(where, reason, text)
        return
    first = next(filter(None, regions), [])
    tags = dict.fromkeys(map(tag_of, first)) or {"": None}
    for tag in tags:
        copies = []
        for items in regions:
            mine = [item for item in items if tag_of(item) in (tag, "")]
            copies.append(read_regions(where, strings, mine, fields, tag))
        read = [copy for copy in copies if isinstance(copy, Annotated)]
        yield from merge(read) if read else copies[:1]


def tag_of(item: dict[str, Any]) -> str:
    """RETURNS (str): The name of the text's tag in the labelling interface."""
    return str(item.get("to_name", ""))


def read_labelstudio_min(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read annotations one by one. Of several of one task, the first is used."""
    fields = Fields()

    def read(where: str, record: Any) -> Iterator[Annotated | Issue]:
        if not isinstance(record, dict):
            raise InputError(f"{where}: not an object")
        items = [{"value": value} for value in find_values(record)]
        strings = {k: v for k, v in find_strings(record).items() if k not in NO_TEXTS}
        copy = read_regions(where, strings, items, fields, "")
        task = repr((record.get("id"), strings if record.get("id") is None else None))
        yield replace(copy, key=task) if isinstance(copy, Annotated) else copy

    return join_copies(lambda: read_each(path, reading, read))


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
    return count_right(text, best_reading(text, stated))


def find_strings(data: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in data.items() if isinstance(value, str)}


def is_region(item: dict[str, Any]) -> bool:
    """RETURNS (bool): Whether a result is a part of the text, with labels or without, of any tag.
    Others are relations, choices and so on."""
    value = item.get("value")
    return isinstance(value, dict) and "start" in value and "end" in value


def is_value(value: Any) -> bool:
    return is_region({"value": value}) and find_labels(value) is not None


def find_labels(value: dict[str, Any]) -> list[Any] | None:
    return next((value[name] for name in LABELS if isinstance(value.get(name), list)), None)


def find_values(record: dict[str, Any]) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): The mentions of a JSON-MIN record, in fields of any name."""
    lists = [value for value in record.values() if isinstance(value, list)]
    return [value for values in lists if all(map(is_value, values)) for value in values]


def list_labels(
    items: list[dict[str, Any]], where: str
) -> Iterator[tuple[dict[str, Any], str, str]]:
    """YIELDS (tuple[dict, str, str]): The value of each region and each of its labels; for one
    without a label, why. Regions of other tags on one with labels, such as a choice for it, are
    passed over."""
    labelled = {str(item.get("id")) for item in items if find_labels(item["value"])}
    for item in items:
        value, kind = item["value"], item.get("type")
        labels = find_labels(value)
        if labels is None and kind not in (None, *LABELS):
            if item.get("id") is None or str(item["id"]) not in labelled:
                yield value, "", f"a region of the tag {shorten(str(kind))}"
            continue
        for label in labels or [""]:
            if not isinstance(label, str):
                raise InputError(f"{where}: the label {shorten(repr(label))} is no string")
            yield value, label, ""


def read_regions(
    where: str, strings: dict[str, str], items: list[dict[str, Any]], fields: Fields, tag: str
) -> Annotated | Issue:
    """RETURNS (Annotated | Issue): A text of a task with its mentions. What can't be placed is
    listed, and unknown where its text occurs; if it doesn't, all other words are unknown.

    strings (dict[str, str]): What could be the text.
    tag (str): The name of the text's tag in the labelling interface.
    """
    stated: list[Stated] = []
    issues, unknown, lost = [], [], []  # lost: the texts of regions that have no place
    for value, label, reason in list_labels(items, where):
        words = get_stated(value, where)
        offsets, problem = find_offsets(value, words, strings)
        if offsets is not None and not reason:
            stated.append((CharMention(*offsets, label), words))
            continue
        issues.append(Issue(where, reason or problem, words or "", label))
        if offsets is None:
            lost.append(words or "")
        else:
            unknown.append(offsets)
    field = fields.find(strings, tag, stated)
    if field is None:
        names = ", ".join(map(shorten, strings)) or "none"
        reason = f"which of its strings is the text isn't known: {names}"
        return Issue(where, reason, next(iter(strings.values()), "")[:QUOTED], unreadable=True)
    text = strings[field]
    if LINK.fullmatch(text.strip()):
        reason = f"its text is a link: {shorten(text)}; export the texts themselves"
        return Issue(where, reason, text[:QUOTED], unreadable=True)
    record = check_stated(where, text, stated, issues)
    places = [find_text(text, words) for words in lost]
    unknown += [*record.unknown, *(bounds for found in places for bounds in found)]
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


FORMAT = json_format(
    "labelstudio",
    "Label Studio, JSON",
    '"data" and "annotations"',
    is_labelstudio,
    read_labelstudio,
)
