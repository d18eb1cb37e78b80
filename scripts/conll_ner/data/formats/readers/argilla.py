"""Argilla 2's JSON export of datasets with span questions
(https://docs.argilla.io/latest/how_to_guides/import_export)."""

from collections.abc import Iterator
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.formats.annotated import QUOTED, Annotated, Issue
from conll_ner.data.formats.joining import merge
from conll_ner.data.formats.json_records import each_record, get, get_objects, json_format
from conll_ner.data.formats.stated import read_stated

RESPONSES, SUGGESTION = ".responses", ".suggestion"  # ends of names in the flat form
FLAT_NAMES = ("id", "status", "_server_id")  # of strings that are no text
UNUSED = ("draft", "discarded")
Responses = dict[str, list[tuple[Any, Any]]]  # question -> values of its responses, and statuses


def is_argilla(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON record is one of Argilla's, in its nested or its flat form."""
    return isinstance(record, dict) and (
        ("fields" in record and ("responses" in record or "suggestions" in record))
        or any(name.endswith((RESPONSES, SUGGESTION)) for name in record)
    )


def read_argilla(where: str, record: Any) -> Iterator[Annotated | Issue]:
    """Read the submitted responses to the span questions of a record. Suggestions, drafts and
    discarded responses aren't used. Of different responses to one question, the first is used."""
    if not isinstance(record, dict):
        raise InputError(f"{where}: not an object")
    if "fields" in record:
        text = find_text(get(record, "fields", dict, where), where)
        questions = read_nested(record, where)
    else:
        names = [n for n in record if n not in FLAT_NAMES and SUGGESTION not in n]
        text = find_text({name: record[name] for name in names}, where)
        questions = read_flat(record, where)
    # The status of the record is all that the nested form has: it is "pending" until enough
    # responses are submitted.
    unknown = "draft" if record.get("status") == "pending" else "submitted"
    submitted = [
        [v for v, status in found if is_spans(v) and (status or unknown) not in UNUSED]
        for found in questions.values()
    ]
    if not any(submitted):
        yield Issue(where, "no submitted response", text[:QUOTED])
        return
    rounds = [
        [item for values in submitted if len(values) > n for item in values[n]]
        for n in range(max(map(len, submitted)))
    ]
    copies = [[read_stated(item, where)[0] for item in items] for items in rounds]
    yield from merge([Annotated(where, text, mentions) for mentions in copies])


def find_text(fields: dict[str, Any], where: str) -> str:
    """RETURNS (str): The field "text", or the only one that is a string.
    RAISES (InputError): If there is none, or more than one. The export doesn't say which one the
        question is about."""
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    if "text" not in texts and len(texts) != 1:
        names = shorten(", ".join(texts) or "none")
        raise InputError(f'{where}: no field "text"; fields that are strings: {names}')
    return texts["text"] if "text" in texts else next(iter(texts.values()))


def read_nested(record: dict[str, Any], where: str) -> Responses:
    """RETURNS (Responses): The responses to each question."""
    if record.get("responses") is None:
        return {}
    questions = get(record, "responses", dict, where)
    return {
        question: [
            (response.get("value"), response.get("status"))
            for response in get_objects(questions, question, where)
        ]
        for question in questions
    }


def read_flat(record: dict[str, Any], where: str) -> Responses:
    """RETURNS (Responses): As `read_nested`. This form has the status of each response.
    RAISES (InputError): If it hasn't."""
    found: Responses = {}
    for name in record:
        if name.endswith(RESPONSES) and record[name]:
            values = get(record, name, list, where)
            statuses = record.get(f"{name}.status") or [None] * len(values)
            if not isinstance(statuses, list) or len(statuses) != len(values):
                raise InputError(f'{where}: not as many statuses as there are in "{name}"')
            found[name] = list(zip(values, statuses, strict=True))
    return found


def is_spans(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) and "start" in v for v in value)


FORMAT = json_format(
    "argilla",
    "Argilla 2, both forms",
    '"fields" and "responses", or names that end in ".responses"',
    is_argilla,
    each_record(read_argilla),
)
