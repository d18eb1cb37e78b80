"""Choose the texts that are most worth annotating, with a pipeline's mentions to correct."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import Writes, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.options import Device, Pipeline, TextField, Texts, WholeFiles
from conll_ner.common.pipelines import find_single_head, load_on_device
from conll_ner.data.docs import read_gold
from conll_ner.data.formats.annotated import Issue
from conll_ner.data.formats.writing import WRITERS, find_target, write_target
from conll_ner.prediction.annotating import name_first, read_texts
from conll_ner.prediction.records import REJECTS_SUFFIX, write_rejects
from conll_ner.prediction.uncertainty import By, most_uncertain
from token_ner import group_scores


def new_texts(texts: Iterable[str], known: set[str]) -> Iterator[str]:
    """YIELDS (str): Each text once, without those that are known. Its key is added to these."""
    for text in texts:
        if (key := text_key(text)) not in known:
            known.add(key)
            yield text


def text_key(text: str) -> str:
    """RETURNS (str): What is the same in a text and in its words."""
    return "".join(text.split())


@command
def main(
    pipeline: Pipeline,
    source: Texts,
    output: Annotated[Path, typer.Argument(help="File to write"), Writes(lists=(REJECTS_SUFFIX,))],
    documents: Annotated[int, typer.Option(min=1, help="Number of texts to choose")] = 100,
    by: Annotated[
        By,
        typer.Option(
            help="By the best label sequence's probability, or by the number of spans that may "
            "well be mentions or not"
        ),
    ] = "sequence",
    to: Annotated[
        str, typer.Option(help=f"Format: auto (by suffix), {', '.join(WRITERS)}")
    ] = "auto",
    annotated: Annotated[
        list[Path] | None,
        typer.Option(help="Gold documents (.spacy or column files) whose texts are left out"),
    ] = None,
    text_field: TextField = "text",
    whole_files: WholeFiles = False,
    device: Device = "auto",
) -> None:
    """Annotate texts, and write the least certain ones for correction in an annotation tool, the
    least certain first. Texts that occur twice are written once. Invalid records are written to
    OUTPUT.rejects.jsonl."""
    if not source:
        raise InputError("name the texts to choose from: --vars.texts FILE")
    to = find_target(output, to)
    nlp, _ = load_on_device(pipeline, device)
    _, head = find_single_head(nlp, pipeline, "a pipeline for review")
    known = {text_key(d.text) for path in annotated or [] for d in read_gold(path, nlp.vocab)}
    n_known = len(known)
    rejects: list[Issue] = []
    found = read_texts(Path(source), text_field, nlp.max_length, rejects, whole_files=whole_files)
    texts = new_texts(found, known)
    chosen = most_uncertain(nlp, head, texts, documents, by)
    if not chosen:
        raise InputError(f"{source} contains no new texts{name_first(rejects)}")
    for candidate in chosen:  # a text in which nothing was found is a prediction too
        group_scores(candidate.doc, "token_ner", candidate.doc.ents)
    write_target((candidate.doc for candidate in chosen), output, to, "iob2")
    listed = write_rejects(rejects, output)
    mentions = sum(len(candidate.doc.ents) for candidate in chosen)
    msg.good(
        f"{output}: {len(chosen):,} of {len(known) - n_known:,} texts, {mentions:,} mentions "
        f"to correct ({to})"
    )
    if rejects:
        msg.warn(f"{len(rejects):,} records rejected; the reasons are in {listed}")
