"""Make training documents that teach a trained pipeline more, and keep it from forgetting."""

from pathlib import Path
from typing import Annotated

import typer

from conll_ner.common.command import READS, WRITES, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.options import Device, Seed
from conll_ner.common.pipelines import load_on_device
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.evaluation.seqeval_scores import unknown_types
from conll_ner.training.rehearsal import complete, leave_open, sample_words


@command
def main(
    pipeline: Annotated[str, typer.Argument(help="The pipeline that learns more"), READS],
    new: Annotated[Path, typer.Argument(help="New gold documents (.spacy or column file)")],
    output: Annotated[Path, typer.Argument(help=".spacy file to write"), WRITES],
    old: Annotated[
        str, typer.Option(help="Gold documents that the pipeline was trained on"), READS
    ] = "",
    rehearsal: Annotated[
        int | None,
        typer.Option(min=0, help="Words of the old documents to repeat; default: as many as new"),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Write training documents: the new ones, with the mentions that the pipeline finds of types
    that they don't have, and a sample of the old ones. Training starts from the pipeline's weights
    with --paths.start_from."""
    if not pipeline:
        raise InputError("name the pipeline that learns more: --vars.pipeline PIPELINE")
    if output.suffix != ".spacy":
        raise InputError(f"{output} must end in .spacy")
    nlp, _ = load_on_device(pipeline, device)
    added = read_gold(new, nlp.vocab)
    new_types = unknown_types(nlp, added)
    words = sum(map(len, added))
    before = sum(len(doc.ents) for doc in added)
    completed = complete(nlp, added)
    found = sum(len(doc.ents) for doc in completed) - before
    repeated = []
    if old:
        gold = read_gold(Path(old), nlp.vocab)
        repeated = sample_words(gold, words if rehearsal is None else rehearsal, seed)
        repeated = leave_open(repeated) if new_types else repeated
    write_docs([*completed, *repeated], output)
    listed = ", ".join(new_types) or "none"
    msg.good(
        f"{output}: {len(added):,} new documents with {before:,} mentions and {found:,} that "
        f"the pipeline finds, {len(repeated):,} old documents; new types: {listed}"
    )
