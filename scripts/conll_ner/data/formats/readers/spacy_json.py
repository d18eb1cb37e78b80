"""spaCy 2's JSON training format (https://v2.spacy.io/api/annotation#json-input)."""

from collections.abc import Iterator, Sequence
from typing import Any

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.rows import UNKNOWN
from conll_ner.data.columns.schemes import LabelError, decode_mentions
from conll_ner.data.formats.annotated import QUOTED, Annotated, Issue, attempt
from conll_ner.data.formats.json_records import each_record, get, json_format
from conll_ner.data.formats.words import find_words
from conll_ner.data.mentions import CharMention, Mention


def is_spacy_json(record: Any) -> bool:
    """RETURNS (bool): Whether a JSON value is a document of spaCy 2's format."""
    return isinstance(record, dict) and isinstance(record.get("paragraphs"), list)


def read_spacy_json(where: str, document: Any) -> Iterator[Annotated | Issue]:
    """Read the paragraphs of a document, with the words and sentences of the file. Words labelled
    "-" are unknown. The text isn't used if it doesn't have the words."""
    for number, paragraph in enumerate(get(document, "paragraphs", list, where), start=1):
        yield from attempt(f"{where}, paragraph {number}", paragraph, read_paragraph)


def read_paragraph(where: str, paragraph: Any) -> Iterator[Annotated]:
    sentences = [
        get(sentence, "tokens", list, where)
        for sentence in get(paragraph, "sentences", list, where)
    ]
    tokens = [token for sentence in sentences for token in sentence]
    words = [get(token, "orth", str, where) for token in tokens]
    text = paragraph.get("raw")
    issues = []
    if isinstance(text, str):
        try:
            bounds = find_words(words, text, where)
        except InputError as error:
            reason = f"its text isn't used: {str(error).removeprefix(where + ': ')}"
            issues.append(Issue(where, reason, text[:QUOTED], used=" ".join(words)[:QUOTED]))
            text = None
    if not isinstance(text, str):
        text = None
        bounds = find_words(words, " ".join(words), where)
    first = [sum(map(len, sentences[:i])) for i in range(len(sentences)) if sentences[i]]
    labels = [str(token.get("ner") or UNKNOWN) for token in tokens]
    yield Annotated(
        where,
        " ".join(words) if text is None else text,
        [
            CharMention(bounds[a][0], bounds[b - 1][1], label)
            for a, b, label in decode(labels, where)
        ],
        words=words,
        has_spaces=text is not None,
        sentence_starts=[bounds[i][0] for i in first],
        unknown=[pair for pair, label in zip(bounds, labels, strict=True) if label == UNKNOWN],
        issues=issues,
    )


def decode(labels: Sequence[str], where: str) -> list[Mention]:
    """RETURNS (list[Mention]): The mentions of labels in BILUO.
    RAISES (InputError): If they are illegal."""
    known = ["O" if label == UNKNOWN else label for label in labels]
    try:
        return decode_mentions(known, "bilou")
    except LabelError as error:
        raise InputError(f"{where}, word {error.index + 1}: {shorten(str(error))}") from None


FORMAT = json_format(
    "spacy-json",
    "spaCy 2's JSON",
    'an object with "paragraphs"',
    is_spacy_json,
    each_record(read_spacy_json),
)
