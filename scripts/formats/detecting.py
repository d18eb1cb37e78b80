"""Find out by its content which format a file or folder has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from common.encodings import open_text
from formats.annotated import Reader
from formats.json_records import first_record
from formats.plain import is_plain, read_plain

START = 4096  # characters


class Format(NamedTuple):
    """An annotation format.

    read (Reader): Reads its files.
    matches (Callable): Whether a JSON value, the first record of a file, is of this format.
    """

    read: Reader
    matches: Callable[[Any], bool] = lambda _: False


# By the name for --format. The first one that matches is taken, so the special ones come first.
FORMATS: dict[str, Format] = {
    "jsonl": Format(read_plain, is_plain),
}
COLUMNS = "columns"
SPACY = "spacy"


def detect(path: Path, encoding: str | None) -> str:
    """RETURNS (str): A key of FORMATS, SPACY, or COLUMNS for any other file."""
    if path.suffix == ".spacy":
        return SPACY
    with open_text(path, encoding) as file:
        start = file.read(START).lstrip()
    if start[:1] in ("{", "["):
        record = first_record(path, encoding)
        for name, format_ in FORMATS.items():
            if format_.matches(record):
                return name
    return COLUMNS
