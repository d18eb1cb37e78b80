"""From mentions by characters to mentions by words. What doesn't fit is listed, not dropped."""

from collections.abc import Callable, Iterable, Iterator

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import get_words_and_spaces

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.conll import Document
from conll_ner.data.docs import make_doc
from conll_ner.data.formats.annotated import NO_WORDS, Annotated, Issue, Record
from conll_ner.data.mentions import CharMention, label_problem

ALIGNMENTS = ("strict", "expand", "contract")
Tokenizer = Callable[[str], Doc]
QUOTED = 200  # characters of a text that an issue quotes


def align(
    record: Annotated, tokenizer: Tokenizer, alignment: str = "strict"
) -> tuple[Doc, list[Issue]]:
    """Make a Doc of an annotated text.

    alignment (str): What becomes of a mention with whitespace at its edges, or whose edges are
        within words; one of ALIGNMENTS. "strict" leaves it out, and its words have no label (so
        that training learns nothing from them); "expand" takes all words that it touches,
        "contract" the words that it contains.
    RETURNS (tuple[Doc, list[Issue]]): The Doc, and every mention that isn't in it as the file has
        it. Of overlapping mentions, the longest is kept.
    RAISES (InputError): If the format's words don't make up its text, or it isn't Unicode.
    """
    if not is_unicode(record.text):
        raise InputError(f"{record.record}: the text has an unpaired surrogate")
    doc = make_words(record, tokenizer)
    text = doc.text  # once: spaCy joins the words each time
    issues = list(record.issues)
    unknown = [span for a, b in record.unknown if (span := cover(doc, text, a, b)) is not None]
    found: list[tuple[CharMention, Span]] = []
    for mention in record.mentions:
        span, problem = place(doc, text, mention, alignment)
        if problem:
            issues.append(make_issue(record, mention, problem, "" if span is None else span.text))
        if span is not None:
            found.append((mention, span))
        elif (touched := cover(doc, text, mention.start, mention.end)) is not None:
            unknown.append(touched)
    kept: dict[int, Span] = {}  # word -> mention
    for mention, span in sorted(found, key=lambda pair: (-len(pair[1]), pair[1].start)):
        taken = next((kept[i] for i in range(span.start, span.end) if i in kept), None)
        if taken is None:
            kept |= dict.fromkeys(range(span.start, span.end), span)
        else:
            problem = "annotated twice" if taken == span else f"overlaps with {taken.label_}"
            issues.append(make_issue(record, mention, f"{problem}: {shorten(taken.text)}"))
    set_mentions(doc, kept, unknown, is_complete=record.is_complete)
    return doc, issues


def make_words(record: Annotated, tokenizer: Tokenizer) -> Doc:
    """RETURNS (Doc): The words of a record, with sentence starts if they are known."""
    if record.words is None:
        doc = tokenizer(record.text)
    elif not record.has_spaces:
        doc = Doc(tokenizer("").vocab, words=list(record.words))
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


def place(doc: Doc, text: str, mention: CharMention, alignment: str) -> tuple[Span | None, str]:
    """RETURNS (tuple[Span | None, str]): The words of a mention, or None if it is left out; and
    what is wrong with it, if anything. text: the document's."""
    start, end, label = mention
    if not 0 <= start <= end <= len(text):
        return None, f"outside of the text, which has {len(text)} characters"
    inner = text[start:end].strip()
    if not inner:
        return None, "empty" if start == end else "only whitespace"
    if problem := label_problem(label):
        return None, problem
    span = doc.char_span(start, end, label=label)
    if span is not None and inner == text[start:end]:
        return span, ""
    problem = "its edges are within words"
    if inner != text[start:end]:
        problem = "whitespace at its edges"
        start = text.index(inner, start)
        end = start + len(inner)
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


def make_docs(records: Iterable[Record], nlp: Language, alignment: str) -> Iterator[Doc | Issue]:
    """YIELDS (Doc | Issue): The records one by one, each after what it leaves out; not the Doc of a
    text without words.

    nlp (Language): Its tokenizer finds the words of formats that have none.
    """
    for record in records:
        if isinstance(record, Doc | Issue):
            yield record
        elif isinstance(record, Document):
            yield make_doc(record, nlp.vocab)
        else:
            doc, issues = align(record, nlp.tokenizer, alignment)
            yield from issues
            if len(doc) > 0 and not doc.text.isspace():
                yield doc
            else:
                yield Issue(record.record, NO_WORDS, record.text[:QUOTED])
