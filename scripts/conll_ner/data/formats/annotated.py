"""What a reader of a format takes and yields, whatever the tool: the one shape of all formats."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.console import InputError, shorten
from conll_ner.data.columns.selection import DEFAULT, Columns
from conll_ner.data.mentions import CharMention

NO_WORDS = "the text has no words"  # the reason of an Issue
Item = TypeVar("Item")
QUOTED = 200  # characters of a text that an issue quotes


@dataclass(frozen=True)
class Reading:
    """How to read a source.

    nlp (Language): Its tokenizer finds the words of formats that have none.
    format (str): The name of a Format, or "auto" to find it out.
    alignment (str): What becomes of mentions that don't meet words.
    encoding (str | None): None: UTF-8.
    overlaps (str): Which of overlapping mentions is used.
    inclusive_ends (bool): Whether ends belong to their mentions.
    scheme, repair: For formats with a label for each word, as in `read_corpus`.
    columns: For column files and Hugging Face's rows.
    layer, feature (str): Of INCEpTION's spans; empty for the named entities and their value.
    notes (dict[str, bool]): What readers have to say about a whole file, and whether it is a
        warning. They add to it.
    """

    nlp: Language
    format: str = "auto"
    alignment: str = "strict"
    overlaps: str = "longest"
    inclusive_ends: bool = False
    encoding: str | None = None
    scheme: str = "auto"
    columns: Columns = DEFAULT
    repair: bool = False
    layer: str = ""
    feature: str = ""
    notes: dict[str, bool] = field(default_factory=dict)


class Issue(NamedTuple):
    """A mention, or a whole record, that isn't used as it is.

    record (str): Where it is: a line, a task or a file.
    reason (str): What is wrong with it.
    text (str): The text of the mention, or the start of the record's.
    label (str): Empty for a whole record.
    start, end (int | None): Its offsets as the file has them.
    used (str): The text of the mention that is used instead; empty if there is none.
    unreadable (bool): Whether it is a record that can't be read: not one that the annotator
        rejected, for example.
    """

    record: str
    reason: str
    text: str = ""
    label: str = ""
    start: int | None = None
    end: int | None = None
    used: str = ""
    unreadable: bool = False

    def to_json(self) -> str:
        """RETURNS (str): A line of a list of issues, without empty values, with the line feed. An
        unpaired surrogate is written as JSON writes it: \\ud800."""
        values = {k: v for k, v in self._asdict().items() if v not in (None, "") and v is not False}
        line = json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace")
        return line.decode() + "\n"


class Agreement(NamedTuple):
    """How far the complete annotations of texts agree, summed over the pairs of each text.

    texts (int): With several annotations.
    shared (int): Mentions that both of a pair have.
    total (int): Mentions of the one and of the other; the mentions' F1 is 2 * shared / total.
    """

    texts: int = 0
    shared: int = 0
    total: int = 0


NO_AGREEMENT = Agreement()


@dataclass(frozen=True)
class Annotated:
    """A text with mentions, exactly as the file has it: nothing is stripped or normalised.

    record (str): Where it is, for messages: "FILE:3", "FILE, item 17", "a.ann".
    mentions (Sequence[CharMention]): In any order; they may overlap and be wrong.
    words (Sequence[str] | None): The words, if the format has them. None: a tokenizer finds them.
    has_spaces (bool): Whether the text is the original one. False if the format has words only, and
        the text is these words with a space between them.
    sentence_starts (Sequence[int] | None): The first character of each sentence, if known.
    layers (Mapping[str, Sequence[str]]): What else the format has for each word; the keys are
        those of docs.LAYERS.
    is_complete (bool): Whether what isn't a mention is known to be none. False for partial
        annotations, such as those of Prodigy's ner.teach.
    unknown (Sequence[tuple[int, int]]): Characters whose labels are unknown.
    issues (Sequence[Issue]): What the reader had to leave out, such as discontinuous mentions.
    doc (Doc | None): The document, if the format is spaCy's own; it is used as it is.
    fields (Mapping[str, Any]): Other fields of the record that a text to annotate keeps.
    key (str): What several annotations of one text share; empty if there is only this one.
    is_curated (bool): Whether it is the one that was agreed on.
    agreement (Agreement): Of the annotations of the text, if there are several.
    """

    record: str
    text: str
    mentions: Sequence[CharMention] = ()
    words: Sequence[str] | None = None
    has_spaces: bool = True
    sentence_starts: Sequence[int] | None = None
    layers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_complete: bool = True
    unknown: Sequence[tuple[int, int]] = ()
    issues: Sequence[Issue] = ()
    doc: Doc | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    is_curated: bool = False
    agreement: Agreement = NO_AGREEMENT


@dataclass(frozen=True)
class Source:
    """A file, and what shows its format.

    start (str): Its first characters, without whitespace before them; empty if it isn't text.
    records (Sequence[Any]): Its first JSON values, or rows of a Parquet file; empty if it isn't
        JSON.
    """

    path: Path
    start: str = ""
    records: Sequence[Any] = ()


# Reads a file. An Issue is a record that isn't used, such as one that the annotator rejected, or
# that can't be read. Raises InputError if the whole file can't be read.
Reader = Callable[[Path, Reading], Iterator[Annotated | Issue]]


class Format(NamedTuple):
    """An annotation format. A module in `readers` has one as FORMAT.

    name (str): For --format.
    shown (str): What docs/formats.md says about it, in Markdown.
    recognise (Callable): Why a file could be of this format; empty if it can't.
    read (Reader): Reads a file.
    is_general (bool): Whether it is tried only if no other format recognises the file.
    """

    name: str
    shown: str
    recognise: Callable[[Source], str]
    read: Reader
    is_general: bool = False


def attempt(
    where: str, value: Any, read: Callable[[str, Any], Iterable[Item]]
) -> Iterator[Item | Issue]:
    """YIELDS (Item | Issue): What a record is read as. If it can't be read, why.

    value (Any): The record; an Issue if it couldn't be decoded.
    read (Callable): Reads it. Raises InputError if that isn't possible; the message starts with
        the record's place.
    """
    if isinstance(value, Issue):
        yield value
        return
    try:
        yield from read(where, value)
    except InputError as error:
        place, _, reason = str(error).removeprefix(where).partition(": ")
        text = value.text[:QUOTED] if isinstance(value, Annotated) else shorten(repr(value))
        yield Issue(f"{where}{place}", reason, text, unreadable=True)


def strictly(items: Iterable[Item]) -> Iterator[Item]:
    """YIELDS (Item): The items.
    RAISES (InputError): At the first record that can't be read."""
    for item in items:
        if isinstance(item, Issue) and item.unreadable:
            raise InputError(f"{item.record}: {item.reason}")
        yield item
