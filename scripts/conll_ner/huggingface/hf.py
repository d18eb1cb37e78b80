"""Import and export Hugging Face token-classification checkpoints."""

import json
import time
from pathlib import Path
from typing import Annotated

import transformers
import typer

from conll_ner.common.command import READS, WRITES_FOLDER, command
from conll_ner.common.console import msg
from conll_ner.common.files import atomic_write
from conll_ner.common.languages import blank_pipeline
from conll_ner.common.options import Pipeline
from conll_ner.common.pipelines import load_pipeline
from conll_ner.huggingface.exporting import entity_groups, export_pipeline
from conll_ner.huggingface.importing import import_checkpoint
from conll_ner.huggingface.loading import as_input_error

app = typer.Typer(add_completion=False)


def folder_size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1024**2


@app.command("import")
@command
def import_command(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hugging Face hub id"), READS],
    output: Annotated[Path, typer.Argument(help="Folder for the pipeline"), WRITES_FOLDER],
    lang: Annotated[str, typer.Option(help="spaCy's language code")] = "en",
    sentences: Annotated[
        bool,
        typer.Option(
            "--sentences/--documents",
            help="Input to the model: single sentences, or as much text as it can read",
        ),
    ] = True,
) -> None:
    """Convert a token-classification checkpoint to a pipeline, without training."""
    transformers.utils.logging.set_verbosity_error()  # no warning that AutoModel ignores the head
    start = time.perf_counter()
    blank_pipeline(lang)  # before the checkpoint is read
    nlp = import_checkpoint(checkpoint, lang, sentences=sentences)
    with as_input_error(f"{output} can't be written"), atomic_write(output) as temporary:
        nlp.to_disk(temporary)
    seconds = time.perf_counter() - start
    msg.good(f"{output}: {folder_size_mb(output):,.0f} MiB in {seconds:.1f} s")


@app.command("export")
@command
def export_command(
    pipeline: Pipeline,
    output: Annotated[Path, typer.Argument(help="Folder for the checkpoint"), WRITES_FOLDER],
) -> None:
    """Export a pipeline to a checkpoint for transformers."""
    start = time.perf_counter()
    export_pipeline(load_pipeline(pipeline), pipeline, output)
    seconds = time.perf_counter() - start
    msg.good(f"{output}: {folder_size_mb(output):,.0f} MiB in {seconds:.1f} s")


@app.command("predict")
@command
def predict_command(
    model: Annotated[
        str, typer.Argument(help="Checkpoint, pipeline folder or installed package"), READS
    ],
    text: Annotated[str, typer.Argument(help="Text to annotate")],
) -> None:
    """Print the mentions of a text in the format of transformers' pipeline, one per line."""
    transformers.utils.logging.set_verbosity_error()
    is_checkpoint = (Path(model) / "config.json").is_file()
    nlp = import_checkpoint(model) if is_checkpoint else load_pipeline(model)
    for group in entity_groups(nlp(text)):
        print(json.dumps(group, ensure_ascii=False))
