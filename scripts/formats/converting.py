"""Convert annotations of any format to gold documents, and print what was read and left out."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from common.console import InputError, first_line, msg, shorten
from common.files import atomic_write, delete_output
from formats.aligning import Alignment, align_all
from formats.annotated import Annotated, Issue
from token_ner.tokenizer import create_linear_tokenizer

ISSUES_SUFFIX = ".issues.jsonl"


def make_nlp(lang: str) -> Language:
    """RETURNS (Language): A blank pipeline, with the tokenizer that the config has.
    RAISES (InputError): If there is no such language, or a package that it needs is missing."""
    try:
        nlp = spacy.blank(lang)
    except (ImportError, OSError) as error:
        raise InputError(f"--lang {lang}: {first_line(error)}") from None
    return nlp


class Counts:
    """What was read, for the summary. `issues` is by reason, without the text after a colon."""

    def __init__(self) -> None:
        self.read: Counter[str] = Counter(documents=0, words=0)
        self.types: Counter[str] = Counter()
        self.issues: Counter[str] = Counter()
        self.unlabelled = 0

    def add(self, doc: Doc) -> None:
        self.read.update(documents=1, words=len(doc))
        self.types.update(ent.label_ for ent in doc.ents)
        self.unlabelled += sum(token.ent_iob == 0 for token in doc)

    def summary(self) -> str:
        counts = [*self.read.items(), *sorted(self.types.items())]
        return ", ".join(f"{number:,} {shorten(name)}" for name, number in counts)


def read_aligned(
    records: Iterable[Annotated],
    tokenizer: Callable[[str], Doc],
    alignment: Alignment,
    counts: Counts,
    write_issue: Callable[[Issue], None],
) -> Iterator[Doc]:
    """YIELDS (Doc): The documents that have words. The issues are counted and written."""
    for doc, issues in align_all(records, tokenizer, alignment):
        for issue in issues:
            counts.issues[issue.reason.split(":")[0]] += 1
            write_issue(issue)
        if len(doc):
            counts.add(doc)
            yield doc
