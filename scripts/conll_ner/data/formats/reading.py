"""Read gold documents from a file or folder of any format, which its content shows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.data.docs import read_docs
from conll_ner.data.formats.aligning import make_docs
from conll_ner.data.formats.annotated import Issue, Reader, Reading
from conll_ner.data.formats.argilla import is_argilla, read_argilla
from conll_ner.data.formats.brat import read_brat
from conll_ner.data.formats.column_files import read_columns
from conll_ner.data.formats.doccano import is_doccano, read_doccano
from conll_ner.data.formats.json_records import read_json_records, read_start
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
from conll_ner.data.formats.webanno import FIRST_LINE, read_webanno
from conll_ner.data.mentions import check_labels


class Format(NamedTuple):
    """An annotation format.

    read (Reader): Reads its files.
    matches (Callable | None): Whether a JSON value, the first record of a file, is of this format;
        None if the format isn't JSON.
    """

    read: Reader
    matches: Callable[[Any], bool] | None = None


COLUMNS = "columns"
SPACY = "spacy"
# By the name for --format. The first one that matches is taken, so the general ones come last.
FORMATS: dict[str, Format] = {
    SPACY: Format(lambda path, reading: read_docs(path, reading.nlp.vocab)),
    COLUMNS: Format(read_columns),
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
SUFFIXES = {".ann": "brat", ".spacy": SPACY, ".parquet": "huggingface"}
FOLDERS = {"*.ann": "brat", "*.tsv": "webanno"}  # by their files


def read_source(source: Path, reading: Reading) -> tuple[str, Iterator[Doc | Issue]]:
    """RETURNS (tuple[str, Iterator[Doc | Issue]]): A key of FORMATS; and the documents, in the
    words of the format or of the tokenizer, with what is left out.
    RAISES (InputError): If there is no such file or format or, while documents are read, if the
        source isn't of the format."""
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    name = detect(source, reading.encoding) if reading.format == "auto" else reading.format
    if name not in FORMATS:
        raise InputError(f"--format {name} is not one of auto, {', '.join(FORMATS)}")
    records = FORMATS[name].read(source, reading)
    return name, check_labels(make_docs(records, reading.nlp, reading.alignment), source)


def detect(path: Path, encoding: str | None) -> str:
    """RETURNS (str): A key of FORMATS; COLUMNS for a file that has none of the others.
    RAISES (InputError): If a folder, or a JSON file, has none of these formats."""
    if path.is_dir():
        for pattern, name in FOLDERS.items():
            if any(path.rglob(pattern)):
                return name
        raise InputError(f"{path} is a folder without .ann files of brat or .tsv files of WebAnno")
    if path.suffix in SUFFIXES:
        return SUFFIXES[path.suffix]
    start, record = read_start(path, encoding)
    if start.startswith(FIRST_LINE):
        return "webanno"
    if record is None:
        if path.suffix.lower().startswith(".json") and start[:1] in ("", "{", "["):
            next(read_json_records(path, encoding), None)  # raises what is wrong
            raise InputError(f"{path} has no records")
        return COLUMNS  # with a word "[", for example
    known = {name: matches for name, (_, matches) in FORMATS.items() if matches is not None}
    for name, matches in known.items():
        if matches(record):
            return name
    raise InputError(f"{path} is JSON, but of no known format: {', '.join(known)}")
