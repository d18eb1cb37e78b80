"""Find out by its content which format a file or folder has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from conll_ner.common.console import InputError
from conll_ner.data.encodings import open_text
from conll_ner.data.formats.annotated import Reader
from conll_ner.data.formats.argilla import is_argilla, read_argilla
from conll_ner.data.formats.brat import is_brat, read_brat
from conll_ner.data.formats.doccano import is_doccano, read_doccano
from conll_ner.data.formats.json_records import first_record, read_json_records
from conll_ner.data.formats.labelstudio import (
    is_labelstudio,
    is_labelstudio_min,
    read_labelstudio,
    read_labelstudio_min,
)
from conll_ner.data.formats.plain import is_plain, read_plain
from conll_ner.data.formats.prodigy import is_prodigy, read_prodigy
from conll_ner.data.formats.spacy_json import is_spacy_json, read_spacy_json
from conll_ner.data.formats.token_tags import is_token_tags, read_token_tags
from conll_ner.data.formats.tuples import is_tuples, read_tuples
from conll_ner.data.formats.ubiai import is_ubiai, read_ubiai
from conll_ner.data.formats.webanno import is_webanno, read_webanno

START = 4096  # characters


class Format(NamedTuple):
    """An annotation format.

    read (Reader): Reads its files.
    matches (Callable): Whether a JSON value, the first record of a file, is of this format.
    """

    read: Reader
    matches: Callable[[Any], bool] = lambda _: False


# By the name for --format. The first one that matches is taken, so the general ones come last.
FORMATS: dict[str, Format] = {
    "brat": Format(read_brat),
    "webanno": Format(read_webanno),
    "spacy-json": Format(read_spacy_json, is_spacy_json),
    "tuples": Format(read_tuples, is_tuples),
    "labelstudio": Format(read_labelstudio, is_labelstudio),
    "argilla": Format(read_argilla, is_argilla),
    "ubiai": Format(read_ubiai, is_ubiai),
    "huggingface": Format(read_token_tags, is_token_tags),
    "prodigy": Format(read_prodigy, is_prodigy),
    "doccano": Format(read_doccano, is_doccano),
    "labelstudio-min": Format(read_labelstudio_min, is_labelstudio_min),
    "jsonl": Format(read_plain, is_plain),
}
COLUMNS = "columns"
SPACY = "spacy"


def detect(path: Path, encoding: str | None) -> str:
    """RETURNS (str): A key of FORMATS, SPACY, or COLUMNS for any other file.
    RAISES (InputError): If a folder, or a JSON file, has none of these formats."""
    if is_brat(path):
        return "brat"
    if path.suffix in (".spacy", ".parquet"):
        return SPACY if path.suffix == ".spacy" else "huggingface"
    if is_webanno(path, encoding):
        return "webanno"
    if path.is_dir():
        raise InputError(f"{path} is a folder without .ann files of brat or .tsv files of WebAnno")
    with open_text(path, encoding) as file:
        start = file.read(START).lstrip()
    if not start and path.suffix.lower().startswith(".json"):
        raise InputError(f"{path} is empty")
    if start[:1] not in ("{", "["):
        return COLUMNS
    record = first_record(path, encoding)
    for name, format_ in FORMATS.items():
        if format_.matches(record):
            return name
    if record is None:
        if path.suffix.lower().startswith(".json"):
            next(read_json_records(path, encoding), None)  # raises what is wrong
            raise InputError(f"{path} has no records")
        return COLUMNS  # with a word "[", for example
    raise InputError(f"{path} is JSON, but of no known format: {', '.join(FORMATS)}")
