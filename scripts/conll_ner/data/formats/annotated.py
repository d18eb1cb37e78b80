"""What a reader of a format takes and yields, whatever the tool."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.data.columns.conll import Document
from conll_ner.data.columns.selection import DEFAULT, Columns
from conll_ner.data.mentions import CharMention

NO_WORDS = "the text has no words"  # the reason of an Issue


@dataclass(frozen=True)
class Reading:
    """How to read a source.

    nlp (Language): Its tokenizer finds the words of formats that have none.
    format (str): A key of reading.FORMATS, or "auto" to find it out.
    alignment (str): What becomes of mentions that don't meet words.
    encoding (str | None): None: UTF-8.
    scheme, repair: For column files and Hugging Face's rows, as in `read_corpus`.
    columns: For column files.
    """

    nlp: Language
    format: str = "auto"
    alignment: str = "strict"
    encoding: str | None = None
    scheme: str = "auto"
    columns: Columns = DEFAULT
    repair: bool = False


class Issue(NamedTuple):
    """A mention, or a whole record, that isn't used as it is.

    record (str): Where it is: a line, a task or a file.
    reason (str): What is wrong with it.
    text (str): The text of the mention, or the start of the record's.
    label (str): Empty for a whole record.
    start, end (int | None): Its offsets as the file has them.
    used (str): The text of the mention that is used instead; empty if there is none.
    """

    record: str
    reason: str
    text: str
    label: str = ""
    start: int | None = None
    end: int | None = None
    used: str = ""

    def to_json(self) -> str:
        """RETURNS (str): A line of OUT.issues.jsonl, with the line feed."""
        return json.dumps(self._asdict(), ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Annotated:
    """A text with mentions, exactly as the file has it: nothing is stripped or normalised.

    record (str): Where it is, for messages: "line 3", "task 17", "a.ann".
    mentions (Sequence[CharMention]): In any order; they may overlap and be wrong.
    words (Sequence[str] | None): The words, if the format has them. None: a tokenizer finds them.
    has_spaces (bool): Whether the text is the original one. False if the format has words only, and
        the text is these words with a space between them.
    sentence_starts (Sequence[int] | None): The first character of each sentence, if known.
    is_complete (bool): Whether what isn't a mention is known to be none. False for partial
        annotations, such as those of Prodigy's ner.teach.
    unknown (Sequence[tuple[int, int]]): Characters whose labels are unknown.
    issues (Sequence[Issue]): What the reader had to leave out, such as discontinuous mentions.
    """

    record: str
    text: str
    mentions: Sequence[CharMention]
    words: Sequence[str] | None = None
    has_spaces: bool = True
    sentence_starts: Sequence[int] | None = None
    is_complete: bool = True
    unknown: Sequence[tuple[int, int]] = ()
    issues: Sequence[Issue] = ()


# A Document has words and their labels, and a DocBin's Doc is used as it is. An Issue is a record
# that isn't used, such as one that the annotator rejected.
Record = Annotated | Document | Doc | Issue
# Reads a file or folder. Raises InputError, with the line or record, if it isn't of the format.
Reader = Callable[[Path, Reading], Iterator[Record]]
