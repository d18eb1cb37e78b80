"""From mentions by characters to mentions by words. What doesn't fit is listed, not dropped."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from spacy.tokens import Doc, Span
from spacy.util import get_words_and_spaces

from conll_ner.common.console import InputError, shorten
from conll_ner.data.docs import build_doc
from conll_ner.data.formats.annotated import NO_WORDS, QUOTED, Annotated, Issue, Reading, attempt
from conll_ner.data.mentions import CharMention, label_problem

ALIGNMENTS = ("strict", "expand", "contract")
Tokenizer = Callable[[str], Doc]
EMPTY, WITHIN = "empty", "its edges are within words"  # reasons of an Issue
MOST = 0.9  # share of the mentions; a few can be words with one character less, such as "Oslo."
GOLD = "gold"  # the span group of all mentions, those that overlap too
# Of overlapping mentions, the one that comes first in this order is the entity.
OVERLAPS: dict[str, Callable[[Span], tuple[int, ...]]] = {
    "longest": lambda span: (-len(span), span.start),
    "shortest": lambda span: (len(span), span.start),
    "first": lambda _: (),
}


def align(
    record: Annotated, tokenizer: Tokenizer, alignment: str = "strict", overlaps: str = "longest"
) -> tuple[Doc, list[Issue]]:
    """Make a Doc of an annotated text.

    alignment (str): What becomes of a mention whose edges are within words; one of ALIGNMENTS.
        "strict" leaves it out, and its words have no label (so that training learns nothing from
        them); "expand" takes all words that it touches, "contract" the words that it contains.
    overlaps (str): A key of OVERLAPS.
    RETURNS (tuple[Doc, list[Issue]]): The Doc, and every mention that isn't in `doc.ents` as the
        file has it. All that are words are in `doc.spans["gold"]`.
    RAISES (InputError): If the format's words don't make up its text, or it isn't Unicode.
    """
    if record.doc is not None:
        return record.doc, list(record.issues)
    if not is_unicode(record.text):
        raise InputError(f"{record.record}: the text has an unpaired surrogate")
    doc = make_words(record, tokenizer)
    text = doc.text  # once: spaCy joins the words each time
    issues = list(record.issues)
    unknown = [span for a, b in record.unknown if (span := cover(doc, text, a, b)) is not None]
    found: list[tuple[CharMention, Span]] = []
    for mention in record.mentions:
        span, problem = place(doc, text, mention, alignment, is_text=record.has_spaces)
        if problem:
            issues.append(make_issue(record, mention, problem, "" if span is None else span.text))
        if span is not None:
            found.append((mention, span))
        elif (touched := cover(doc, text, mention.start, mention.end)) is not None:
            unknown.append(touched)
    kept: dict[int, Span] = {}  # word -> mention
    for mention, span in sorted(found, key=lambda pair: OVERLAPS[overlaps](pair[1])):
        taken = next((kept[i] for i in range(span.start, span.end) if i in kept), None)
        if taken is None:
            kept |= dict.fromkeys(range(span.start, span.end), span)
        else:
            problem = "annotated twice" if taken == span else f"overlaps with {taken.label_}"
            issues.append(make_issue(record, mention, f"{problem}: {shorten(taken.text)}"))
    set_mentions(doc, kept, unknown, is_complete=record.is_complete)
    doc.spans[GOLD] = sorted({(s.start, s.end, s.label): s for _, s in found}.values())
    return doc, issues


def make_words(record: Annotated, tokenizer: Tokenizer) -> Doc:
    """RETURNS (Doc): The words of a record, with sentence starts if they are known."""
    if record.words is None:
        doc = tokenizer(record.text)
    elif not record.has_spaces:
        doc = build_doc(tokenizer("").vocab, record.words, record.layers)
    else:
        try:
            words, spaces = get_words_and_spaces(record.words, record.text)
        except ValueError:
            text = shorten(repr(record.text))
            raise InputError(f"{record.record}: the words don't make up the text {text}") from None
        doc = Doc(tokenizer("").vocab, words=words, spaces=spaces)
    if record.sentence_starts is not None:
        starts = set(record.sentence_starts)
        for token in doc:
            token.is_sent_start = token.i == 0 or token.idx in starts
    return doc


def is_unicode(text: str) -> bool:
    """RETURNS (bool): Whether a text has no surrogates, which JSON can write by themselves."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def place(
    doc: Doc, text: str, mention: CharMention, alignment: str, *, is_text: bool = True
) -> tuple[Span | None, str]:
    """RETURNS (tuple[Span | None, str]): The words of a mention, or None if it is left out; and
    what is wrong with it, if anything.

    text (str): The document's.
    is_text (bool): Whether whitespace at the mention's edges isn't meant.
    """
    start, end, label = mention
    if not 0 <= start <= end <= len(text):
        return None, f"outside of the text, which has {len(text)} characters"
    inner = text[start:end].strip() if is_text else text[start:end]
    if not inner:
        return None, EMPTY if start == end else "only whitespace"
    if problem := label_problem(label):
        return None, problem
    problem = "" if inner == text[start:end] else "whitespace at its edges"
    start = text.index(inner, start)
    end = start + len(inner)
    span = doc.char_span(start, end, label=label)
    if span is not None:
        return span, problem
    problem = WITHIN
    if alignment == "strict":
        return None, problem
    return trim(doc.char_span(start, end, label=label, alignment_mode=alignment)), problem


def trim(span: Span | None) -> Span | None:
    """RETURNS (Span | None): The span without whitespace tokens at its edges."""
    words = [token.i for token in span or () if not token.is_space]
    return Span(span.doc, words[0], words[-1] + 1, span.label) if span and words else None


def cover(doc: Doc, text: str, start: int, end: int) -> Span | None:
    """RETURNS (Span | None): All words that characters touch; None if there are none. text: the
    document's."""
    start, end = max(0, start), min(end, len(text))
    return doc.char_span(start, end, alignment_mode="expand") if start < end else None


def make_issue(record: Annotated, mention: CharMention, reason: str, used: str = "") -> Issue:
    start, end, label = mention
    text = record.text[max(0, start) : max(0, end)][:QUOTED]
    return Issue(record.record, reason, text, label, start, end, used)


def set_mentions(
    doc: Doc, kept: dict[int, Span], unknown: list[Span], *, is_complete: bool
) -> None:
    """Set the mentions. Words of `unknown` that are in none have no label.

    kept (dict[int, Span]): The mention of each word that is in one.
    """
    free = [i for span in unknown for i in range(span.start, span.end) if i not in kept]
    doc.set_ents(
        list({span.start: span for span in kept.values()}.values()),
        missing=[doc[i : i + 1] for i in sorted(set(free))],
        default="outside" if is_complete else "missing",
    )


def make_docs(records: Iterable[Annotated | Issue], reading: Reading) -> Iterator[Doc | Issue]:
    """YIELDS (Doc | Issue): The records one by one, each after what it leaves out; not the Doc of a
    text without words.
    RAISES (InputError): At the end, if the mentions' ends seem to be inclusive."""
    tokenizer, shift = reading.nlp.tokenizer, int(reading.inclusive_ends)
    total = lacking = 0  # mentions, and those that lack their last character

    def make(_: str, record: Annotated) -> Iterator[Doc | Issue]:
        nonlocal total, lacking
        if shift:
            ends = [m._replace(end=m.end + shift) for m in record.mentions]
            record = replace(record, mentions=ends)
        doc, issues = align(record, tokenizer, reading.alignment, reading.overlaps)
        total += len(record.mentions)
        lacking += sum(lacks_last(doc, issue) for issue in issues)
        yield from issues
        if len(doc) > 0 and not doc.text.isspace():
            yield doc
        else:
            yield Issue(record.record, NO_WORDS, record.text[:QUOTED])

    for item in records:
        yield from attempt(item.record, item, make)
    if lacking > 1 and lacking >= MOST * total:
        raise InputError(
            f"{lacking:,} of {total:,} mentions lack their last character: --inclusive-ends reads "
            "ends that belong to the mention"
        )


def lacks_last(doc: Doc, issue: Issue) -> bool:
    """RETURNS (bool): Whether a mention that isn't words would be with a character more."""
    if issue.reason not in (WITHIN, EMPTY) or issue.start is None or issue.end is None:
        return False
    return doc.char_span(issue.start, issue.end + 1) is not None
