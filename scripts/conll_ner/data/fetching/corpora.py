"""Fetch and verify a corpus."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write
from conll_ner.common.hub import is_hub_id
from conll_ner.common.links import check_inside
from conll_ner.data.columns.conll import (
    Corpus,
    Document,
    Sentence,
    count,
    format_corpus,
    read_corpus,
)
from conll_ner.data.columns.schemes import decode_mentions
from conll_ner.data.fetching.origins import go_offline_without_hub, try_sources
from conll_ner.data.formats.readers.huggingface import BESIDE
from conll_ner.data.formats.reading import COLUMNS, detect
from conll_ner.data.mentions import Mention
from conll_ner.data.splits import NAMES, find_splits

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "valid", "test")
COUNTED = ("documents", "sentences", "words", "PER", "LOC", "ORG", "MISC")
# Published counts: Tjong Kim Sang and De Meulder (2003), tables 1 and 2. Their sentence counts
# include the document starts; these don't.
KNOWN_COUNTS = {
    "conll2003": {
        "train": (946, 14_041, 203_621, 6_600, 7_140, 6_321, 3_438),
        "valid": (216, 3_250, 51_362, 1_842, 1_837, 1_341, 922),
        "test": (231, 3_453, 46_435, 1_617, 1_668, 1_661, 702),
    },
}
# Parquet datasets on the hub. The first one has document boundaries.
HUB_CORPORA = {"conll2003": ("tomaarsen/conll2003", "lhoestq/conll2003")}
HUB_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
FOLDER_VARIABLES = {"conll2003": "CONLL2003_DIR"}
# A split of column files is read and written again in canonical form; of any other format, its file
# or folder is copied as it is, and `convert` reads it. Of any dataset of the hub it is a `Dataset`,
# which is written as Parquet, with the names of its labels.
Splits = dict[str, "Corpus | Path | Dataset"]


def read_folder(folder: Path, name: str) -> Splits:
    """RETURNS (Splits): The splits of a folder, under any of their common file names. Only corpora
    with published counts must have a test split.
    RAISES (InputError): If a split is missing or can't be read."""
    if not folder.is_dir():
        raise InputError("no such folder")
    found = find_splits(folder)
    splits: Splits = {}
    for split in SPLITS:
        if split in found:
            path = found[split]
            splits[split] = path if detect(path) != COLUMNS else read_corpus(path)
        elif split != "test" or name in KNOWN_COUNTS:
            names = ", ".join(f"{each}.txt" for each in NAMES[split])
            raise InputError(f"no file for {split}; expected one of {names}, or another suffix")
    return splits


def verify(name: str, splits: Splits) -> None:
    """Compare a corpus with its published counts.

    RAISES (InputError): If a count differs. The number of documents is checked only if the
        source has document boundaries.
    """
    for split, expected in KNOWN_COUNTS.get(name, {}).items():
        corpus = splits[split]
        if not isinstance(corpus, Corpus):
            raise InputError(f"{split} is not a column file, as {name} has")
        counts = count(corpus.documents)
        for what, number in zip(COUNTED, expected, strict=True):
            found = counts.get(what, 0)
            if found != number and (what != "documents" or corpus.has_docstarts):
                raise InputError(f"{split} has {found:,} {what}, but {name} has {number:,}")


def parse_dataset(rows: Iterable[Mapping[str, Any]], names: Mapping[str, list[str]]) -> Corpus:
    """Convert a split of a CoNLL dataset from the hub.

    rows (Iterable): Rows with `tokens`, the label ids `pos_tags`, `chunk_tags` and `ner_tags`
        (IOB2), and `document_id` if the dataset has document boundaries.
    names (Mapping): The label names of each column of ids.
    """
    documents: list[Document] = []
    current: object = None
    for row in rows:
        pos, chunks, labels = (
            [names[column][number] for number in row[column]]
            for column in ("pos_tags", "chunk_tags", "ner_tags")
        )
        mentions: list[Mention] = decode_mentions(labels, "iob2")
        lemmas = [""] * len(labels)
        if not documents or row.get("document_id", object()) != current:
            documents.append(Document([]))
            current = row.get("document_id")
        documents[-1].sentences.append(Sentence(row["tokens"], pos, chunks, lemmas, mentions))
    return Corpus(documents, scheme="iob2", has_docstarts=current is not None)


def read_hub(dataset_id: str) -> Splits:
    """Load a CoNLL dataset with `datasets`, from the hub or from a folder of Parquet files."""
    go_offline_without_hub()
    from datasets import load_dataset  # slow to import, and not needed for the other sources

    splits: Splits = {}
    for split, hub_split in HUB_SPLITS.items():
        dataset = load_dataset(dataset_id, split=hub_split)
        names = {
            column: dataset.features[column].feature.names
            for column in ("pos_tags", "chunk_tags", "ner_tags")
        }
        splits[split] = parse_dataset(dataset, names)
    return splits


def read_any_hub(dataset_id: str) -> Splits:
    """RETURNS (Splits): The splits of a dataset with `tokens` and `ner_tags` on the hub.
    RAISES (InputError): If it has no train or validation split."""
    go_offline_without_hub()
    from datasets import load_dataset

    found = load_dataset(dataset_id)
    splits: Splits = {}
    for split, names in NAMES.items():
        name = next((name for name in names if name in found), None)
        if name is not None:
            splits[split] = found[name]
        elif split != "test":
            raise InputError(f"no split {split}; it has {', '.join(found)}")
    return splits


def corpus_sources(
    name: str, target: Path, folder: Path | None
) -> list[tuple[str, Callable[[], Splits]]]:
    """RETURNS (list): Name and reader of each source of the corpus, in the order to try."""
    sources: list[tuple[str, Callable[[], Splits]]] = [
        (str(target), partial(read_folder, target, name))
    ]
    variable = FOLDER_VARIABLES.get(name, "")
    if folder is not None:
        sources.append((str(folder), partial(read_folder, folder, name)))
        if name not in KNOWN_COUNTS and is_hub_id(folder.as_posix()):
            hub_id = folder.as_posix()
            sources.append((f"{hub_id} on the hub", partial(read_any_hub, hub_id)))
    elif os.environ.get(variable):
        named = Path(os.environ[variable])
        sources.append((f"{named} ({variable})", partial(read_folder, named, name)))
    for dataset_id in HUB_CORPORA.get(name, ()):
        sources.append((f"{dataset_id} on the hub", partial(read_hub, dataset_id)))
    return sources


def write_corpus(splits: Splits, target: Path) -> None:
    with atomic_write(target) as temporary:
        temporary.mkdir()
        for split, corpus in splits.items():
            if isinstance(corpus, Corpus):
                text = format_corpus(corpus.documents, docstarts=corpus.has_docstarts)
                (temporary / f"{split}.txt").write_text(text, encoding="utf-8", newline="\n")
            elif not isinstance(corpus, Path):
                corpus.to_parquet(temporary / f"{split}.parquet")
            elif corpus.is_dir():
                check_inside(corpus.rglob("*"), corpus)
                shutil.copytree(corpus, temporary / split)
            else:
                shutil.copyfile(corpus, temporary / f"{split}{corpus.suffix}")
                for names in (corpus.with_name(name) for name in BESIDE):
                    if names.is_file():
                        shutil.copyfile(names, temporary / names.name)


def fetch_corpus(name: str, target: Path, folder: Path | None) -> str:
    """Fetch a corpus into the folder `target`: column files as {train,valid,test}.txt, in canonical
    form, other formats as they are.

    RETURNS (str): The source that was used.
    RAISES (InputError): If no source has the complete corpus, with the published counts if known.
    """

    def verified(read: Callable[[], Splits]) -> Splits:
        splits = read()
        verify(name, splits)
        return splits

    sources = corpus_sources(name, target, folder)
    source, splits = try_sources(
        [(label, partial(verified, read)) for label, read in sources],
        problem=f"No source has the corpus {name} complete and verified",
        remedy="pass the folder with train, dev and test: --vars.corpus_dir FOLDER"
        + (f", or set {FOLDER_VARIABLES[name]}" if name in FOLDER_VARIABLES else ""),
    )
    if source != str(target):
        write_corpus(splits, target)
    print_splits(splits)
    return source


def print_splits(splits: Splits) -> None:
    for split, corpus in splits.items():
        if isinstance(corpus, Path):
            msg.text(f"  {split}: {corpus.name} ({detect(corpus)})")
            continue
        if not isinstance(corpus, Corpus):
            msg.text(f"  {split}: {len(corpus):,} rows")
            continue
        counts = ", ".join(f"{n:,} {what}" for what, n in count(corpus.documents).items())
        msg.text(f"  {split}: {counts}")
        if not corpus.has_docstarts:
            msg.warn(f"{split} has no document boundaries: each sentence is its own document")
    if "test" not in splits:
        msg.info("no test split: scores are on dev only")
