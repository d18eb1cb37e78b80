"""Convert annotations between formats: a file, a folder of splits, or a file into splits."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.console import EXIT_REJECTED, InputError, msg
from conll_ner.common.files import atomic_write
from conll_ner.common.overwriting import check_file, check_replaceable
from conll_ner.common.progress import track
from conll_ner.data.docs import write_docs
from conll_ner.data.formats.aligning import make_docs
from conll_ner.data.formats.annotated import Reading, strictly
from conll_ner.data.formats.reading import SPACY, open_sources
from conll_ner.data.formats.writing import WRITERS, find_target, write_splits, write_target
from conll_ner.data.mentions import check_labels
from conll_ner.data.splits import find_splits
from conll_ner.data.summary import Summary

ZONE = 1000  # documents whose words are added to the vocabulary together
DOCBINS = {"train": "train", "valid": "dev", "test": "test"}  # names of the splits' .spacy files


@dataclass(frozen=True)
class Conversion:
    """How to convert.

    reading (Reading): How to read the source.
    to (str): One of writing.TARGET_NAMES, or "auto" for that of the target's suffix.
    to_scheme (str): The label scheme of column files that are written.
    split (Callable | None): Returns the documents by file name without suffix, such as train, dev
        and test. The target is then a folder, "auto" for .spacy files. None: it is one file.
    strict (bool): Whether a record that can't be read is an error.
    """

    reading: Reading
    to: str = "auto"
    to_scheme: str = "iob2"
    split: Callable[[list[Doc]], dict[str, list[Doc]]] | None = None
    strict: bool = False


def convert(sources: Sequence[Path], target: Path, how: Conversion) -> None:
    """Convert files, or folders that hold a corpus, or a folder of splits. If records can't be
    read, exit with code 3, but for a folder of splits: a project goes on to train. Raises as
    `convert_files` and `convert_folder`."""
    folder = sources[0] if len(sources) == 1 and sources[0].is_dir() else None
    splits = find_splits(folder) if folder is not None and how.split is None else {}
    is_folder = "train" in splits or how.split is not None
    (check_replaceable if is_folder else check_file)(target)
    if len(sources) > 1 and target.is_file() and target.suffix in {s.suffix for s in sources}:
        raise InputError(f"{target} exists; is it a source? Name the target after it, or delete it")
    if folder is not None and "train" in splits:
        convert_folder(folder, splits, target, how)
    elif convert_files(sources, target, how):
        sys.exit(EXIT_REJECTED)


def convert_files(
    sources: Sequence[Path], target: Path, how: Conversion, shown: Path | None = None
) -> int:
    """Convert a corpus, and print what was read and left out.

    shown (Path | None): Where the target will be, for the messages.
    RETURNS (int): How many records can't be read.
    RAISES (InputError): If the source isn't of its format, has no words or too few documents for
        its splits, or the target's format can't hold it.
    """
    to = SPACY if how.split and how.to == "auto" else find_target(target, how.to)
    splits: dict[str, list[Doc]] = {}
    name = ", ".join(map(str, sources))
    with (
        Summary(target, shown or target) as summary,
        open_sources(sources, how.reading) as (format_, records),
    ):
        found = check_labels(make_docs(summary.count_copies(records), how.reading), name)
        found = track(found, "documents")
        docs = summary.keep_documents(strictly(found) if how.strict else found, name)
        if how.split:
            splits = how.split(list(docs))
            write_splits(splits, target, to, how.to_scheme)
        else:
            # A DocBin adds its words once.
            if to in WRITERS and SPACY not in format_.split(", "):
                docs = forget_words(docs, how.reading.nlp)
            write_target(docs, target, to, how.to_scheme)
    for note, is_warning in how.reading.notes.items():
        (msg.warn if is_warning else msg.info)(note)
    how.reading.notes.clear()
    summary.print(format_)
    if splits:
        msg.text("  " + ", ".join(f"{n}: {len(part):,} documents" for n, part in splits.items()))
    return summary.unreadable


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


def convert_folder(source: Path, splits: Mapping[str, Path], target: Path, how: Conversion) -> None:
    """Convert the splits of a folder to {train,dev,test}.spacy in a folder, which is written as a
    whole. Without a test split, test.spacy has no documents.

    RAISES (InputError): As `convert_files`, or if dev is missing.
    """
    if "valid" not in splits:
        raise InputError(f"{source} has no file for valid, such as valid.txt")
    how = replace(how, to=SPACY)
    with atomic_write(target) as folder:
        folder.mkdir()
        for split, name in DOCBINS.items():
            docbin, shown = folder / f"{name}.spacy", target / f"{name}.spacy"
            if split in splits:
                convert_files([splits[split]], docbin, how, shown)
            else:
                write_docs([], docbin)
                msg.info(f"{source} has no test split: {shown} is empty")
