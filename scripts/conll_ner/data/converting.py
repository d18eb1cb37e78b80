"""Convert annotations between formats: a file, a folder of splits, or a file into splits."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write
from conll_ner.common.overwriting import check_file, check_replaceable
from conll_ner.data.docs import write_docs
from conll_ner.data.formats.annotated import Reading
from conll_ner.data.formats.reading import SPACY, read_source
from conll_ner.data.formats.writing import WRITERS, find_target, write_splits, write_target
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
    """

    reading: Reading
    to: str = "auto"
    to_scheme: str = "iob2"
    split: Callable[[list[Doc]], dict[str, list[Doc]]] | None = None


def convert(source: Path, target: Path, how: Conversion) -> None:
    """Convert a file, or a folder that holds one corpus, or a folder of splits. Raises as
    `convert_file` and `convert_folder`."""
    splits = find_splits(source) if source.is_dir() and how.split is None else {}
    is_folder = "train" in splits or how.split is not None
    (check_replaceable if is_folder else check_file)(target)
    if "train" in splits:
        convert_folder(source, splits, target, how)
    else:
        convert_file(source, target, how)


def convert_file(source: Path, target: Path, how: Conversion, shown: Path | None = None) -> None:
    """Convert a corpus, and print what was read and left out.

    shown (Path | None): Where the target will be, for the messages.
    RAISES (InputError): If the source isn't of its format, has no words or too few documents for
        its splits, or the target's format can't hold it.
    """
    format_, found = read_source(source, how.reading)
    to = SPACY if how.split and how.to == "auto" else find_target(target, how.to)
    splits: dict[str, list[Doc]] = {}
    with Summary(target, shown or target) as summary:
        docs = summary.keep_documents(found, source)
        if how.split:
            splits = how.split(list(docs))
            write_splits(splits, target, to, how.to_scheme)
        else:
            if to in WRITERS and format_ != SPACY:  # a DocBin adds its words once
                docs = forget_words(docs, how.reading.nlp)
            write_target(docs, target, to, how.to_scheme)
    summary.print(format_)
    if splits:
        msg.text("  " + ", ".join(f"{n}: {len(part):,} documents" for n, part in splits.items()))


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

    RAISES (InputError): As `convert_file`, or if dev is missing.
    """
    if "valid" not in splits:
        raise InputError(f"{source} has no file for valid, such as valid.txt")
    with atomic_write(target) as folder:
        folder.mkdir()
        for split, name in DOCBINS.items():
            docbin = f"{name}.spacy"
            if split in splits:
                how = replace(how, to=SPACY)
                convert_file(splits[split], folder / docbin, how, shown=target / docbin)
            else:
                write_docs([], folder / docbin)
                msg.info(f"{source} has no test split: {target / docbin} is empty")
