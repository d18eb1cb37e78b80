"""Labels of Azure's Language Studio, with the files of their texts beside
(https://learn.microsoft.com/azure/ai-services/language-service/custom-named-entity-recognition/concepts/data-formats).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.common.links import check_inside
from conll_ner.data.encodings import read_text
from conll_ner.data.formats.annotated import Annotated, Issue, Reading, attempt
from conll_ner.data.formats.json_records import get, get_objects, json_format, read_each
from conll_ner.data.formats.stated import find_offset, utf16_offsets
from conll_ner.data.mentions import CharMention


def is_azure(record: Any) -> bool:
    assets = record.get("assets") if isinstance(record, dict) else None
    return isinstance(assets, dict) and "documents" in assets


def read_azure(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read `{"assets": {"documents": [{"location": "a.txt", "entities": [{"labels": [{"category":
    "PER", "offset": 0, "length": 3}]}]}]}}`. Offsets are in UTF-16."""
    beside = {file.name: file for file in path.parent.iterdir() if file.is_file()}

    def read_document(where: str, document: Any) -> Iterator[Annotated]:
        name = get(document, "location", str, where)
        if name not in beside:
            raise InputError(f"{where}: there is no text {shorten(repr(name))} beside {path.name}")
        (file,) = check_inside([beside[name]], path.parent)
        text = read_text(file, reading.encoding)
        units = utf16_offsets(text)
        mentions = []
        for region in get_objects(document, "entities", where):
            for item in get_objects(region, "labels", where):
                start, length = get(item, "offset", int, where), get(item, "length", int, where)
                bounds = find_offset(units, start), find_offset(units, start + length)
                mentions.append(CharMention(*bounds, get(item, "category", str, where)))
        yield Annotated(where, text, mentions)

    def read(where: str, record: Any) -> Iterator[Annotated | Issue]:
        documents = get_objects(get(record, "assets", dict, where), "documents", where)
        for number, document in enumerate(documents, start=1):
            yield from attempt(f"{where}, document {number}", document, read_document)

    return read_each(path, reading, read)


FORMAT = json_format(
    "azure",
    "Azure's Language Studio, with the texts beside",
    '"assets" with "documents"',
    is_azure,
    read_azure,
)
