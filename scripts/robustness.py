"""Score a pipeline on raw text and on perturbed text.

For raw text, documents are detokenized and tokenized again by the pipeline, and mentions are
compared by characters. The perturbations keep gold tokens, so they measure the recogniser alone.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from common.console import InputError, exit_on_input_error, msg
from common.files import atomic_write, sha256
from common.pipelines import load_on_device
from corpus.docs import read_gold
from scoring.perturbations import score_forms


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or installed package")],
    files: Annotated[list[Path], typer.Argument(help=".spacy or column files")],
    output: Annotated[Path | None, typer.Option(help="JSON file for the scores")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, or the number of a GPU")] = "auto",
) -> None:
    """Print F1 on raw text, changed case, missing final punctuation, and typos."""
    with exit_on_input_error():
        nlp, _ = load_on_device(pipeline, device)
        results: dict[str, Any] = {}
        for path in files:
            gold = read_gold(path, nlp.vocab)
            if not any(doc.ents for doc in gold):
                raise InputError(f"{path} contains no mentions")
            scores = score_forms(nlp, gold)
            results[path.stem] = scores | {"file": str(path), "sha256": sha256(path)}
            rows = [(name, f"{100 * value:.2f}") for name, value in scores.items()]
            msg.table(rows, header=(path.stem, "%"), divider=True, aligns=("l", "r"))
        if output is not None:
            with atomic_write(output) as temporary:
                temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
            msg.good(f"{output}")


if __name__ == "__main__":
    typer.run(main)
