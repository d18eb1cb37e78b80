"""spaCy 2's JSON training format (https://v2.spacy.io/api/annotation#json-input)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.rows import UNKNOWN
from conll_ner.data.columns.schemes import LabelError, decode_mentions
from conll_ner.data.formats.annotated import Annotated, Issue, Reading
from conll_ner.data.formats.json_records import get, read_json_records
from conll_ner.data.formats.words import find_words
from conll_ner.data.mentions import CharMention, Mention


def is_spacy_json(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON value is a document of spaCy 2's format."""
    return isinstance(record, dict) and isinstance(record.get("paragraphs"), list)


def read_spacy_json(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read the paragraphs of each document, with the words and sentences of the file. Words
    labelled "-" are unknown."""
    for where, document in read_json_records(path, reading.encoding):
        for number, paragraph in enumerate(get(document, "paragraphs", list, where), start=1):
            yield read_paragraph(f"{where}, paragraph {number}", paragraph)


def read_paragraph(where: str, paragraph: Any) -> Annotated:
    sentences = [
        get(sentence, "tokens", list, where)
        for sentence in get(paragraph, "sentences", list, where)
    ]
    tokens = [token for sentence in sentences for token in sentence]
    words = [get(token, "orth", str, where) for token in tokens]
    raw = paragraph.get("raw")
    text = raw if isinstance(raw, str) else " ".join(words)
    bounds = find_words(words, text, where)
    first = [sum(map(len, sentences[:i])) for i in range(len(sentences)) if sentences[i]]
    labels = [str(token.get("ner") or UNKNOWN) for token in tokens]
    return Annotated(
        where,
        text,
        [
            CharMention(bounds[a][0], bounds[b - 1][1], label)
            for a, b, label in decode(labels, where)
        ],
        words=words,
        has_spaces=isinstance(raw, str),
        sentence_starts=[bounds[i][0] for i in first],
        unknown=[pair for pair, label in zip(bounds, labels, strict=True) if label == UNKNOWN],
    )


def decode(labels: Sequence[str], where: str) -> list[Mention]:
    """RETURNS (list[Mention]): The mentions of labels in BILUO.
    RAISES (InputError): If they are illegal."""
    known = ["O" if label == UNKNOWN else label for label in labels]
    try:
        return decode_mentions(known, "bilou")
    except LabelError as error:
        raise InputError(f"{where}, word {error.index + 1}: {shorten(str(error))}") from None
