"""The mentions of a document as plain data."""

from typing import Any

from spacy.tokens import Doc


def list_mentions(doc: Doc) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): For each mention its text, label, confidence score (None if
    the pipeline has none), and start and end as character offsets; the end is exclusive."""
    return [
        {
            "text": ent.text,
            "label": ent.label_,
            "score": ent._.score if ent.has_extension("score") else None,
            "start": ent.start_char,
            "end": ent.end_char,
        }
        for ent in doc.ents
    ]
