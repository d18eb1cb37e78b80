"""Score a pipeline on raw text and on perturbed text.

For raw text, documents are detokenized, the pipeline tokenizes them, and mentions are compared by
character offsets. Perturbed text keeps gold tokens, so its scores don't depend on the tokenizer.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from conll_ner.common.command import WRITES, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.files import sha256, write_json
from conll_ner.common.options import Device, Pipeline
from conll_ner.common.pipelines import load_on_device
from conll_ner.data.docs import is_empty_split, read_gold
from conll_ner.evaluation.perturbations import score_variants


@command
def main(
    pipeline: Pipeline,
    files: Annotated[list[Path], typer.Argument(help=".spacy or column files")],
    output: Annotated[Path | None, typer.Option(help="JSON file for the scores"), WRITES] = None,
    device: Device = "auto",
) -> None:
    """Score a pipeline on raw text, changed case, missing final punctuation, and typos."""
    nlp, _ = load_on_device(pipeline, device)
    results: dict[str, Any] = {}
    for path in files:
        if len(files) > 1 and is_empty_split(path):
            msg.info(f"{path} has no documents")
            continue
        gold = read_gold(path, nlp.vocab)
        if not any(doc.ents for doc in gold):
            raise InputError(
                f"{path} contains no mentions, so F1 is undefined; pass an annotated file"
            )
        scores = score_variants(nlp, gold)
        results[path.stem] = scores | {"file": str(path), "sha256": sha256(path)}
        rows = [(name, f"{100 * value:.2f}") for name, value in scores.items()]
        msg.table(rows, header=(path.stem, "%"), divider=True, aligns=("l", "r"))
    if output is not None:
        write_json(output, results)
        msg.good(f"{output}")
