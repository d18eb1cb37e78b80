"""Read a file of an annotation format as the command does."""

import json
from pathlib import Path
from typing import Any

import spacy
from spacy.tokens import Doc

from conll_ner.data.formats.aligning import make_docs
from conll_ner.data.formats.annotated import Issue, Reading, strictly
from conll_ner.data.formats.reading import open_sources
from conll_ner.data.mentions import check_labels

NLP = spacy.blank("en")
TEXT = "Ada left Oslo."
MENTIONS = [("Ada", "PER"), ("Oslo", "LOC")]
SPANS: list[Any] = [[0, 3, "PER"], [9, 13, "LOC"]]
OBJECTS = [{"start": a, "end": b, "label": label} for a, b, label in SPANS]
RESULT = [
    {
        "id": str(a),
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": a, "end": b, "text": TEXT[a:b], "labels": [label]},
    }
    for a, b, label in SPANS
]


def jsonl(path: Path, *records: Any) -> Path:
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n", encoding="utf-8")
    return path


def read(path: Path, align: str = "strict", **options: Any) -> tuple[str, list[Doc], list[Issue]]:
    """RETURNS (tuple): The format that was found, the documents, and what was left out."""
    return read_all([path], align, **options)


def read_all(
    paths: list[Path], align: str = "strict", *, strict: bool = True, **options: Any
) -> tuple[str, list[Doc], list[Issue]]:
    """As `read`, of several files. strict: whether a record that can't be read is an error."""
    reading = Reading(NLP, alignment=align, **options)
    with open_sources(paths, reading) as (name, records):
        found = check_labels(make_docs(records, reading), paths[0])
        items = list(strictly(found) if strict else found)
    docs = [item for item in items if isinstance(item, Doc)]
    return name, docs, [item for item in items if isinstance(item, Issue)]


def mentions(doc: Doc) -> list[tuple[str, str]]:
    return [(ent.text, ent.label_) for ent in doc.ents]


def labels(doc: Doc) -> list[str]:
    """RETURNS (list[str]): The label of each word; "?" where it is unknown."""
    return ["?" if token.ent_iob == 0 else token.ent_iob_ for token in doc]


def task(*results: Any, text: str = TEXT, **fields: Any) -> dict[str, Any]:
    annotations = [{"result": result, "was_cancelled": False} for result in results]
    return {"id": 1, "data": {"text": text}, "annotations": annotations, "predictions": []} | fields


def prodigy(answer: str = "accept", view: str = "ner_manual", **fields: Any) -> dict[str, Any]:
    return {"text": TEXT, "spans": OBJECTS, "answer": answer, "_view_id": view} | fields
