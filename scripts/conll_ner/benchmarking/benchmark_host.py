"""Measure what the host does for every word, by stage, while the transformer's work is played
back."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from conll_ner.benchmarking.host import (
    is_slim,
    measure_prediction,
    measure_reading,
    measure_training,
)
from conll_ner.common.command import WRITES, command
from conll_ner.common.console import msg
from conll_ner.common.files import write_json
from conll_ner.common.machine import describe_hardware, package_versions
from conll_ner.common.options import Device, Pipeline
from conll_ner.common.pipelines import find_single, load_on_device
from conll_ner.data.docs import read_gold


def print_table(results: dict[str, dict[str, float]]) -> None:
    stages = dict.fromkeys(stage for row in results.values() for stage in row)
    order = [*(stage for stage in stages if stage not in ("rest", "all")), "rest", "all"]
    rows = [
        [stage, *(f"{row[stage]:.2f}" if stage in row else "" for row in results.values())]
        for stage in order
    ]
    header = ["µs per word", *results]
    msg.table(rows, header=header, divider=True, aligns=["l", *"r" * len(results)])


@command
def main(
    pipeline: Pipeline,
    gold: Annotated[Path, typer.Argument(help="Annotated documents, as dev.spacy")],
    documents: Annotated[int, typer.Option(min=1, help="Number of documents to use")] = 120,
    batch_words: Annotated[int, typer.Option(min=1, help="Words per batch in training")] = 4000,
    passes: Annotated[int, typer.Option(min=1, help="Number of passes; the fastest counts")] = 5,
    device: Device = "auto",
    output: Annotated[Path | None, typer.Option(help="JSON file for the results"), WRITES] = None,
) -> None:
    """Print the microseconds per word of every stage on the host: in prediction on documents and on
    single sentences, and in training, which slim pipelines don't have."""
    torch.set_num_threads(1)
    nlp, gpu = load_on_device(pipeline, device)
    for factory in ("token_ner",) if is_slim(nlp) else ("transformer", "token_ner"):
        find_single(nlp, factory, pipeline, "a pipeline to measure")
    docs = read_gold(gold, nlp.vocab)[:documents]
    texts = [" ".join(token.text for token in doc) for doc in docs]
    sentences = [" ".join(token.text for token in sent) for doc in docs for sent in doc.sents]
    results = {
        "documents": measure_prediction(nlp, texts, nlp.batch_size, passes),
        "sentences": measure_prediction(nlp, sentences, 16 * nlp.batch_size, passes),
    }
    if not is_slim(nlp):
        training = results["training"] = measure_training(nlp, docs, batch_words, passes)
        training["reading"] = measure_reading(nlp, gold, passes)
        training["all"] += training["reading"]
    print_table(results)
    print(f"{describe_hardware(gpu)}; {package_versions()}")
    if output is not None:
        write_json(output, results)
