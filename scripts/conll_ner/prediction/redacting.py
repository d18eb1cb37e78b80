"""Replace mentions in texts, and write the records as they came."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from spacy.tokens import Doc

from conll_ner.common.exact_json import dump_json, load_json
from conll_ner.common.files import atomic_write
from conll_ner.data.formats.annotated import Annotated
from conll_ner.data.mentions import describe_candidates, list_mentions
from conll_ner.prediction.outputs import Format, find_nan, join_bytes
from token_ner import text_key

TEXT = "text"  # the field of lines of text


class Replaced(NamedTuple):
    """A part of a text, [start, end), that is replaced; the label is that of its highest score."""

    start: int
    end: int
    label: str
    score: float | None


Name = Callable[[str, str], str]  # a replacement for the text of a mention and its label


def name_by_label() -> Name:
    """RETURNS (Name): Gives [PER] for every person."""
    return lambda _, label: f"[{label}]"


def name_by_number() -> Name:
    """RETURNS (Name): Gives [PER 1] for the first person of a document, wherever the name is
    written in the same way but for letter case and spaces."""
    numbers: dict[str, dict[int, int]] = {}

    def name(text: str, label: str) -> str:
        known = numbers.setdefault(label, {})
        return f"[{label} {known.setdefault(text_key(text), len(known) + 1)}]"

    return name


def find_replaced(doc: Doc) -> list[Replaced]:
    """RETURNS (list[Replaced]): What mentions and candidates cover, in order; those that overlap
    are joined."""
    rows = [
        Replaced(row["start"], row["end"], row["label"], row["score"])
        for row in (*list_mentions(doc), *describe_candidates(doc))
    ]
    joined: list[Replaced] = []
    for row in sorted(rows, key=lambda row: row[:3]):
        if not joined or row.start >= joined[-1].end:
            joined.append(row)
            continue
        before = joined[-1]
        best = max(before, row, key=lambda each: 1.0 if each.score is None else each.score)
        joined[-1] = best._replace(start=before.start, end=max(before.end, row.end))
    return joined


def redact(doc: Doc, name: Name) -> tuple[str, list[dict[str, Any]]]:
    """Replace the mentions and candidates of a document.

    RETURNS (tuple[str, list[dict[str, Any]]]): The new text; and for each replacement `start` and
        `end` in the old text, `text`, `label`, `score` and `replacement`.
    """
    parts: list[str] = []
    replaced = []
    at = 0
    for start, end, label, score in find_replaced(doc):
        text = doc.text[start:end]
        replacement = name(text, label)
        parts += doc.text[at:start], replacement
        at = end
        row = {"start": start, "end": end, "text": text, "label": label, "score": score}
        replaced.append(row | {"replacement": replacement})
    return "".join([*parts, doc.text[at:]]), replaced


def write_redacted(
    records: Sequence[Annotated], docs: Sequence[Doc], path: Path, make_name: Callable[[], Name]
) -> None:
    """Write a part: a line of JSON for each record."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record, doc in zip(records, docs, strict=True):
            text, replaced = redact(doc, make_name())
            row = {"record": record.record, "fields": dict(record.fields), "text": text}
            file.write(dump_json(row | {"replaced": replaced}) + "\n")


def write_labels(records: Sequence[Annotated], docs: Sequence[Doc], path: Path) -> None:
    write_redacted(records, docs, path, name_by_label)


def write_numbers(records: Sequence[Annotated], docs: Sequence[Doc], path: Path) -> None:
    write_redacted(records, docs, path, name_by_number)


class Target(NamedTuple):
    """How the output is written.

    text_field (str): The field or column of the text.
    delimiter (str): Between the columns of a table.
    replaced (Path | None): A file for what was replaced.
    whole_file (bool): Whether a text file is one text.
    """

    text_field: str
    delimiter: str
    replaced: Path | None
    whole_file: bool


def join_redacted(kind: str, target: Target, parts: Sequence[Path], output: Path) -> None:
    """Join parts to a file of the kind of the input, a value of records.FORMATS; and list what was
    replaced, a line of JSON for each replacement."""
    with ExitStack() as stack:
        file = stack.enter_context(output.open("w", encoding="utf-8", newline=""))
        listed = None
        if target.replaced is not None:
            temporary = stack.enter_context(atomic_write(target.replaced))
            listed = stack.enter_context(temporary.open("w", encoding="utf-8", newline="\n"))
        rows = read_parts(parts, target.text_field, listed)
        if kind == "jsonl":
            file.writelines(f"{dump_json(row)}\n" for row in rows)
        elif kind == "csv":
            write_table(rows, file, target.delimiter)
        else:
            write_lines(rows, file, "" if target.whole_file else "\n")


def read_parts(
    parts: Sequence[Path], text_field: str, listed: TextIO | None
) -> Iterator[dict[str, Any]]:
    """YIELDS (dict[str, Any]): The fields of each record, with the new text."""
    for part in parts:
        with part.open(encoding="utf-8") as file:
            for row in map(load_json, file):
                if listed is not None:
                    where = {"record": row["record"]}
                    listed.writelines(f"{dump_json(where | each)}\n" for each in row["replaced"])
                yield row["fields"] | {text_field: row["text"]}


def write_table(rows: Iterator[dict[str, Any]], file: TextIO, delimiter: str) -> None:
    writer = csv.writer(file, delimiter=delimiter)
    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(row)
        writer.writerow(row.values())


def write_lines(rows: Iterator[dict[str, Any]], file: TextIO, end: str) -> None:
    """Write each text on the line where it was. Lines between them were blank or rejected."""
    line = 0
    for row in rows:
        file.write(end * (row["line"] - line - 1) + row[TEXT] + end)
        line = row["line"]


# Of parts. They are joined by `join_redacted`, which knows the target.
STYLES = {
    "label": Format(write_labels, join_bytes, find_nan, adds=()),
    "number": Format(write_numbers, join_bytes, find_nan, adds=()),
}
