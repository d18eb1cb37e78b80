"""The scores of mentions: where a document keeps them, and how `ent._.score` finds them.

A score is where spaCy keeps the values of span extensions, so that it is copied, saved, joined and
cut with the document: `doc.user_data` has an entry under `("._.", "token_ner_scores", start, end)`,
by the mention's characters, because retokenizing changes the indices of tokens. An entry counts
only for a span with its text and label.

A span group with scores, for `spans_key`, has the entries in its attributes too: a DocBin without
user data keeps these.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn, cast

from spacy.tokens import Doc, Span, SpanGroup

KEY = "token_ner_scores"
CANDIDATES = "_candidates"  # the end of the name of the span group
Mention = tuple[int, int, str]  # first character, the one after the last, label
Entry = Sequence[Any]  # text, label, score, component's name: a list or tuple, as spaCy reads it


class ScoredMention(NamedTuple):
    """A predicted mention of one document."""

    start: int  # index of its first word
    end: int  # index after its last word
    label: str
    score: float  # probability of exactly this span with this label


def keep_scores(
    doc: Doc, name: str, mentions: Sequence[ScoredMention], spans_key: str | None = None
) -> list[Span]:
    """Write a component's mentions with their scores, in place of its earlier ones.

    spans_key (str | None): The span group to write too.
    RETURNS (list[Span]): The mentions.
    """
    for store, place, _ in list(find_entries(doc, name)):
        del store[place]
    spans = [Span(doc, m.start, m.end, m.label) for m in mentions]
    user_data = cast(dict[Any, Entry], doc.user_data)
    for span, m in zip(spans, mentions, strict=True):
        place = ("._.", KEY, span.start_char, span.end_char)
        user_data[place] = [span.text, m.label, m.score, name]
    if spans_key is not None:
        group_scores(doc, spans_key, spans)
    return spans


def group_candidates(doc: Doc, name: str, candidates: Sequence[ScoredMention] | None) -> None:
    """Write a component's candidates into a span group of its own, in place of earlier ones."""
    key = f"{name}{CANDIDATES}"
    if candidates is None:
        doc.spans.pop(key, None)
        return
    spans = [Span(doc, m.start, m.end, m.label) for m in candidates]
    scores = [m.score for m in candidates]
    doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs={"scores": scores})


def list_candidates(doc: Doc) -> list[tuple[Span, float]]:
    """RETURNS (list[tuple[Span, float]]): The candidates of all components, with their scores."""
    found: list[tuple[Span, float]] = []
    for key, group in doc.spans.items():
        if key.endswith(CANDIDATES) and "scores" in group.attrs:
            found += zip(group, cast(list[float], group.attrs["scores"]), strict=True)
    return found


def gives_candidates(doc: Doc) -> bool:
    """RETURNS (bool): Whether a component has written candidates, though there may be none."""
    return any(key.endswith(CANDIDATES) for key in doc.spans)


def keep_candidates(doc: Doc, labels: Sequence[str]) -> None:
    """Drop the candidates of all components that have other labels."""
    for key in [key for key in doc.spans if key.endswith(CANDIDATES)]:
        group = doc.spans[key]
        rows = zip(group, group.attrs.get("scores", ()), strict=False)
        kept = [(span, score) for span, score in rows if span.label_ in labels]
        scores = [score for _, score in kept]
        doc.spans[key] = SpanGroup(doc, spans=[s for s, _ in kept], attrs={"scores": scores})


def group_scores(doc: Doc, spans_key: str, spans: Iterable[Span]) -> None:
    """Write those spans that have a score into `doc.spans[spans_key]`, with `attrs["scores"]`."""
    found = [(span, entry) for span in spans if (entry := find_entry(span)) is not None]
    entries = {f"{span.start_char} {span.end_char}": entry for span, entry in found}
    attrs = {"scores": [score for _, (_, _, score, _) in found], KEY: entries}
    group = SpanGroup(doc, name=spans_key, spans=[span for span, _ in found], attrs=attrs)
    doc.spans[spans_key] = group


def find_entries(doc: Doc, name: str) -> Iterator[tuple[dict[Any, Entry], Any, Mention]]:
    """YIELDS (tuple[dict[Any, Entry], Any, Mention]): For each entry of a component the dict that
    has it, its key, and the mention."""
    user_data = cast(dict[Any, Any], doc.user_data)
    for key, entry in user_data.items():
        if isinstance(key, tuple) and key[:2] == ("._.", KEY) and entry[3] == name:
            yield user_data, key, (key[2], key[3], entry[1])
    for group in doc.spans.values():
        entries = group.attrs.get(KEY, {})
        for key, entry in entries.items():
            if entry[3] == name:
                start, end = map(int, key.split())
                yield entries, key, (start, end, entry[1])


def find_entry(span: Span) -> Entry | None:
    """RETURNS (Entry | None): The entry of a span with this text and label."""
    doc, start, end = span.doc, span.start_char, span.end_char
    now = doc.char_span(start, end)
    if now is None or (now.start, now.end) != (span.start, span.end):
        return None  # the document was retokenized since the span was made
    entries = [cast(dict[Any, Entry], doc.user_data).get(("._.", KEY, start, end))]
    for group in doc.spans.values():
        entries.append(group.attrs.get(KEY, {}).get(f"{start} {end}"))
    mention = (span.text, span.label_)
    return next((e for e in entries if e and tuple(e[:2]) == mention), None)


def span_score(span: Span) -> float | None:
    """RETURNS (float | None): The probability that a mention was predicted with: of exactly its
    span with its label. None for a span that `token_ner` didn't predict, and where spaCy has lost
    the score."""
    entry = find_entry(span)
    return None if entry is None else cast(float, entry[2])


span_score.is_token_ner = True  # type: ignore[attr-defined]  # in every copy of this package


def refuse_score(span: Span, _: object) -> NoReturn:
    """RAISES (AttributeError): Always: `ent._.score` is what was predicted."""
    raise AttributeError(f'the score of "{span}" is what token_ner predicted, and can\'t be set')
