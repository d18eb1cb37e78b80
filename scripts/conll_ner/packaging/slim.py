"""Make a pipeline that predicts without torch: `token_ner` on ONNX Runtime."""

from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.command import WRITES_FOLDER, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write
from conll_ner.common.options import Pipeline
from conll_ner.common.pipelines import load_pipeline
from conll_ner.data.docs import read_gold
from conll_ner.packaging.slimming.measuring import measure_loss
from conll_ner.packaging.slimming.pipeline import make_slim
from conll_ner.packaging.slimming.source import find_source
from conll_ner.training.calibrating import calibrate_folder
from token_ner.onnx_model.onnx_shim import SlimPrecision

TOLERATED_LOSS = 0.3  # points of F1


def print_loss(loss: dict[str, Any], precision: str, dev: Path) -> None:
    """Print what the slim pipeline loses, with a warning if it is much."""
    torch_f1, f1 = 100 * loss["f1_torch"], 100 * loss["f1"]
    msg.text(
        f"{dev.name}: F1 {torch_f1:.2f} with torch in float32, {f1:.2f} in {precision}; "
        f"{loss['different']} of {loss['same'] + loss['different']} mentions differ; a score "
        f"changes by {loss['score_change']:.2g} at most"
    )
    if torch_f1 - f1 > TOLERATED_LOSS:
        msg.warn(
            f"{precision} loses {torch_f1 - f1:.2f} points of F1: use --precision float32, which "
            "is four times as large and about half as fast"
        )


def recalibrate(slim: Language, folder: Path, gold: list[Doc], name: str) -> None:
    """Fit the calibration to the scores of the slim pipeline, if it has one, and make its promises
    again. name: of the gold documents."""
    try:
        result = calibrate_folder(slim, folder, gold, name=name)
    except InputError as error:
        msg.warn(f"confidence scores keep the calibration of the torch pipeline: {error}")
        return
    before, after = result.measures["expected calibration error"]
    msg.text(
        f"calibrated again: expected calibration error {100 * after:.2f}, "
        f"{100 * before:.2f} without calibration"
    )


@command
def main(
    pipeline: Pipeline,
    output: Annotated[Path, typer.Argument(help="Folder for the slim pipeline"), WRITES_FOLDER],
    precision: Annotated[
        SlimPrecision,
        typer.Option(help="Of the weights: int8 is a quarter of the size, and faster"),
    ] = "int8",
    dev: Annotated[
        Path | None,
        typer.Option(
            help=".spacy or column file, not used in training: measures the loss of F1, and the "
            "scores are calibrated again"
        ),
    ] = None,
) -> None:
    """Make a pipeline that predicts without torch, transformers and spacy-transformers: it needs
    spaCy, NumPy, tokenizers and ONNX Runtime."""
    nlp = load_pipeline(pipeline)
    source = find_source(nlp, pipeline)
    gold = [] if dev is None else read_gold(dev, nlp.vocab)
    slim = make_slim(nlp, source, pipeline, precision)
    if dev is not None:
        loss = measure_loss(nlp, source, slim, gold)
        slim.meta["slim"]["dev"] = loss
    with atomic_write(output) as temporary:
        slim.to_disk(temporary)
        if dev is not None:
            print_loss(loss, precision, dev)
            if source.head.calibration is not None:
                recalibrate(slim, temporary, gold, dev.name)
    size = slim.meta["slim"]["megabytes"]
    msg.good(f"{output}: a model of {size} MB in {precision}, without torch")
