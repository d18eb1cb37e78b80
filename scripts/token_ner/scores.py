"""The scores of mentions: where a document keeps them, and how `ent._.score` finds them.

A document keeps them twice, by characters, because spaCy's span groups keep the old token indices
when words are merged or split:

- In the attributes of `doc.spans[name]`. Every copy and every saved form of the document has them,
  also a DocBin without user data.
- In `doc.user_data`, where spaCy keeps the values of span extensions, under
  `("._.", "NAME_scores", start, end)`: the characters of the whole document. `Doc.from_docs` and
  `span.as_doc(copy_user_data=True)` drop the attributes, but keep this and move `start` and `end`.

`as_doc` also keeps it where `start` or `end` are then outside of the piece, and `Doc.from_docs` can
move them over the documents beside the piece. So the document's words are kept with the scores, and
a score counts only where they are the same.
"""

import sys
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict, cast

import numpy
from spacy.tokens import Doc, Span, SpanGroup

GROUP_MARK = "token_ner"  # attrs["by"] of the span groups with scored mentions
NEAR = 50  # characters on both sides of a mention that must be the same
WORD = 32  # characters per word in Saved.words

Mention = tuple[int, int, str]  # first character, the one after the last, label


class ScoredMention(NamedTuple):
    """A predicted mention of one document."""

    start: int  # index of its first word
    end: int  # index after its last word
    label: str
    score: float  # probability of exactly this span with this label


class Kept(TypedDict):
    """Mentions in order, as columns. `starts` and `ends` are characters."""

    starts: Sequence[int]
    ends: Sequence[int]
    labels: Sequence[str]
    scores: Sequence[float]
    length: int  # of the document, without whitespace at its end


class Saved(TypedDict):
    """What is kept in the user data."""

    by: str  # GROUP_MARK
    mentions: Kept
    words: str  # of each word, its id in the string store and its first character: uint64 as hex


def keep_scores(doc: Doc, name: str, mentions: Sequence[ScoredMention]) -> list[Span]:
    """Write a component's mentions with their scores into `doc.spans` and `doc.user_data`.

    RETURNS (list[Span]): The mentions.
    """
    spans = [Span(doc, m.start, m.end, m.label) for m in mentions]
    scores = [m.score for m in mentions]
    kept: Kept = {
        "starts": [span.start_char for span in spans],
        "ends": [span.end_char for span in spans],
        "labels": [m.label for m in mentions],
        "scores": scores,
        "length": text_length(doc),
    }
    attrs = {"by": GROUP_MARK, "scores": list(scores), "mentions": kept}
    doc.spans[name] = SpanGroup(doc, name=name, spans=spans, attrs=attrs)
    user_data = cast(dict[Any, Any], doc.user_data)
    prefix = ("._.", f"{name}_scores")
    for key in [key for key in user_data if isinstance(key, tuple) and key[:2] == prefix]:
        del user_data[key]
    if spans:
        words = doc.to_array(["ORTH", "IDX"]).tobytes().hex()
        saved: Saved = {"by": GROUP_MARK, "mentions": kept, "words": words}
        user_data[(*prefix, 0, kept["length"])] = saved
    return spans


def text_length(doc: Doc) -> int:
    return doc[-1].idx + len(doc[-1]) if len(doc) else 0


def span_score(span: Span) -> float | None:
    """RETURNS (float | None): The probability that a mention was predicted with: of exactly its
    span with its label. None for a span that `token_ner` didn't predict, and where spaCy has lost
    the score."""
    if is_outdated(span):
        return None
    groups = [g for g in span.doc.spans.values() if g.attrs.get("by") == GROUP_MARK]
    if not groups:
        return score_in_user_data(span)
    mention = (span.start_char, span.end_char, span.label_)
    found = (score_in_group(group, mention) for group in groups)
    return next((score for score in found if score is not None), None)


def is_outdated(span: Span) -> bool:
    """RETURNS (bool): Whether the document was retokenized after the span was made, so that its
    tokens are no longer those of its characters."""
    doc = span.doc
    if not 0 <= span.start < span.end <= len(doc):
        return True
    last = doc[span.end - 1]
    return (doc[span.start].idx, last.idx + len(last)) != (span.start_char, span.end_char)


def find_score(kept: Kept, mention: Mention) -> float | None:
    starts = kept["starts"]
    i = bisect_left(starts, mention[0])
    same = i < len(starts) and mention == (starts[i], kept["ends"][i], kept["labels"][i])
    return kept["scores"][i] if same else None


def score_in_group(group: SpanGroup, mention: Mention) -> float | None:
    if "mentions" in group.attrs:
        kept: Kept = group.attrs["mentions"]
        # A DocBin adds spaces between the parts of split words if spaces are unknown.
        return find_score(kept, mention) if kept["length"] == text_length(group.doc) else None
    # A version before 0.6.0 wrote the group: `scores` is parallel to it.
    scores: Sequence[float] = group.attrs.get("scores", ())
    try:
        i = bisect_left(group, mention[:2], key=lambda span: (span.start_char, span.end_char))
        span = group[i]
    except IndexError:  # not there, or its tokens aren't since the document was retokenized
        return None
    same = mention == (span.start_char, span.end_char, span.label_)
    return scores[i] if same and len(scores) == len(group) else None


def score_in_user_data(span: Span) -> float | None:
    """RETURNS (float | None): The score if all entries of a component that have the span and the
    words around it agree, also on whether it is a mention."""
    found = set()
    for key, saved in cast(dict[Any, Any], span.doc.user_data).items():
        if not is_saved(key, saved):
            continue
        _, name, start, end = key
        inside = start <= span.start_char and span.end_char <= end
        if inside and has_same_words(saved["words"], span, start):
            mention = (span.start_char - start, span.end_char - start, span.label_)
            found.add((name, find_score(saved["mentions"], mention)))
    scores = [score for _, score in found if score is not None]
    agree = len({name for name, _ in found}) == len(found)
    return scores[0] if agree and len(scores) == 1 else None


def is_saved(key: Any, value: Any) -> bool:
    """RETURNS (bool): Whether an entry of the user data is of `keep_scores`."""
    is_span = isinstance(key, tuple) and len(key) == 4 and key[0] == "._." and key[3] is not None
    return is_span and isinstance(value, dict) and value.get("by") == GROUP_MARK


def has_same_words(words: str, span: Span, start: int) -> bool:
    """Compare the text around a span, as far as the document has it, with that of the annotated
    document.

    words (str): The words of the annotated document.
    start (int): Where that document would begin in this one.
    """
    doc, strings = span.doc, cast(Any, span.doc.vocab.strings)
    near = doc[max(0, span.start - NEAR) : span.end + NEAR]
    text, first = near.text_with_ws, near.start_char - start
    for word_id, offset in words_between(
        words, span.start_char - start - NEAR, span.end_char - start + NEAR
    ):
        if word_id not in strings:
            return False
        word, i = strings[word_id], offset - first
        seen = text[max(0, i) : max(0, i + len(word))]  # a part, or nothing, at the edges
        if not word[max(0, -i) :].startswith(seen):
            return False
    return True


def words_between(words: str, start: int, end: int) -> list[tuple[int, int]]:
    """RETURNS (list[tuple[int, int]]): Id and first character of the words that start there."""

    def offset(i: int) -> int:
        return int.from_bytes(
            bytes.fromhex(words[WORD * i + WORD // 2 : WORD * (i + 1)]), sys.byteorder
        )

    every = range(len(words) // WORD)
    first, last = bisect_left(every, start, key=offset), bisect_left(every, end, key=offset)
    data = bytes.fromhex(words[WORD * first : WORD * last])
    return cast(list[tuple[int, int]], numpy.frombuffer(data, "uint64").reshape(-1, 2).tolist())


def mentions_in(group: SpanGroup) -> set[Mention]:
    """RETURNS (set[Mention]): The mentions that a component wrote into a group. If spaCy or an
    earlier version made the group, none when its words are gone."""
    if "mentions" in group.attrs:
        kept: Kept = group.attrs["mentions"]
        return set(zip(kept["starts"], kept["ends"], kept["labels"], strict=True))
    try:
        return {(span.start_char, span.end_char, span.label_) for span in group}
    except IndexError:  # the document was retokenized
        return set()
