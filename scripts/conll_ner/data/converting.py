"""Convert annotations between formats: one file, a folder of splits, or one file into splits."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write
from conll_ner.data.docs import convert_to_columns, convert_to_docs, write_docs
from conll_ner.data.formats.detecting import COLUMNS, SPACY
from conll_ner.data.formats.listing import Counts, IssueList, keep_documents
from conll_ner.data.formats.reading import Reading, find_format, read_source
from conll_ner.data.formats.target_files import SUFFIXES, find_target, write_target
from conll_ner.data.formats.writing import WRITERS
from conll_ner.data.splits import find_splits

SUFFIX_OF = {name: suffix for suffix, name in SUFFIXES.items()} | {COLUMNS: ".txt"}
ZONE = 1000  # documents whose words are added to the vocabulary together
DOCBINS = {"train": "train", "valid": "dev", "test": "test"}  # names of the splits' .spacy files


Splits = dict[str, list[Doc]]


@dataclass(frozen=True)
class Conversion:
    """How to convert.

    reading (Reading): How to read the source.
    to (str): A format of targets.TARGET_NAMES, or "auto" for that of the target's suffix.
    to_scheme (str): The label scheme of column files that are written.
    nlp (Language): Its tokenizer finds the words of formats that have none.
    """

    reading: Reading
    to: str
    to_scheme: str
    nlp: Language


def convert_file(source: Path, target: Path, how: Conversion) -> None:
    """Convert a file, or a folder that holds one corpus, and print what was read and left out.

    RAISES (InputError): If the source isn't of its format, has no words, or the target's format
        can't hold it.
    """
    format_, to = find_format(source, how.reading), find_target(target, how.to)
    if (format_, to) == (COLUMNS, SPACY):
        reading = how.reading
        convert_to_docs(
            source,
            target,
            reading.scheme,
            str(how.nlp.lang),
            reading.columns,
            repair=reading.repair,
            encoding=reading.encoding,
        )
        return
    if (format_, to) == (SPACY, COLUMNS):
        convert_to_columns(source, target, how.to_scheme)
        return
    counts = Counts()
    with IssueList(target) as issues:
        aligned = read_source(source, format_, how.reading, how.nlp)
        docs = keep_documents(aligned, issues, counts, source)
        if to in WRITERS and format_ != SPACY:  # a DocBin adds its words to the vocabulary once
            docs = forget_words(docs, how.nlp)
        write_target(docs, target, to, how.to_scheme)
    counts.print(target, format_)
    issues.print()


def forget_words(docs: Iterable[Doc], nlp: Language) -> Iterator[Doc]:
    """YIELDS (Doc): The documents, each to be used before the next. The vocabulary, which would
    grow with every new word, forgets words again; but not those of the first documents, the most
    frequent ones, since the tokenizer caches no words that are to be forgotten."""
    remaining = iter(docs)
    yield from islice(remaining, ZONE)
    n = ZONE
    while n == ZONE:
        n = 0
        with nlp.memory_zone():
            for doc in islice(remaining, ZONE):
                n += 1
                yield doc


def convert_folder(source: Path, target: Path, how: Conversion) -> None:
    """Convert the splits of a folder to {train,dev,test}.spacy. Without a test split, test.spacy
    has no documents.

    RAISES (InputError): As `convert_file`, or if train or dev is missing.
    """
    found = find_splits(source)
    for split in ("train", "valid"):
        if split not in found:
            raise InputError(f"{source} has no file for {split}, such as {split}.txt")
    for split, name in DOCBINS.items():
        docbin = target / f"{name}.spacy"
        if split in found:
            convert_file(found[split], docbin, replace(how, to=SPACY))
        else:
            write_docs([], docbin)
            msg.info(f"{source} has no test split: {docbin} is empty")


def convert_to_splits(
    source: Path, target: Path, how: Conversion, split: Callable[[list[Doc]], Splits]
) -> None:
    """Split a corpus by document into the files of a folder, such as train, dev and test: .spacy
    files, or of another format.

    split (Callable): Returns the documents by file name without suffix.
    RAISES (InputError): As `convert_file`, or if there are too few documents.
    """
    format_ = find_format(source, how.reading)
    to = SPACY if how.to == "auto" else find_target(target, how.to)
    counts = Counts()
    with IssueList(target) as issues, atomic_write(target) as folder:
        aligned = read_source(source, format_, how.reading, how.nlp)
        docs = list(keep_documents(aligned, issues, counts, source))
        splits = split(docs)
        folder.mkdir()
        for name, part in splits.items():
            write_target(part, folder / f"{name}{SUFFIX_OF.get(to, '.jsonl')}", to, how.to_scheme)
    counts.print(target, format_)
    msg.text("  " + ", ".join(f"{name}: {len(part):,} documents" for name, part in splits.items()))
    issues.print()
