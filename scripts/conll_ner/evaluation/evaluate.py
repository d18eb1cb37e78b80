"""Evaluate a pipeline on gold tokens with seqeval, and check the scores against spaCy's scorer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from conll_ner.common.command import WRITES, WRITES_FOLDER, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.device import peak_gpu_memory
from conll_ner.common.files import atomic_write, sha256, write_json
from conll_ner.common.machine import describe_hardware, package_versions, peak_memory_mb
from conll_ner.common.options import Device, Pipeline
from conll_ner.common.pipelines import describe_runtime, load_on_device
from conll_ner.data.docs import is_empty_split, write_docs
from conll_ner.data.splits import find_splits
from conll_ner.evaluation.promises import describe_check
from conll_ner.evaluation.runs import read_record
from conll_ner.evaluation.seqeval_scores import PROTOCOLS
from conll_ner.evaluation.split_scores import evaluate_file, make_buckets
from conll_ner.evaluation.wordpiece_scores import is_trained_on_all

RAW_TEXT_GAP = 0.05  # difference of F1 that is pointed out


def print_scores(name: str, scores: dict[str, Any]) -> None:
    """Print the scores on a file as a table, in percent."""
    header = (name, "precision", "recall", "F1", "support")
    rows = []
    for protocol in PROTOCOLS:
        parts = scores[protocol]["types"] if protocol == "conlleval" else {}
        for row_name, row in {**parts, f"all ({protocol})": scores[protocol]["overall"]}.items():
            percent = [f"{100 * row[key]:.2f}" for key in ("precision", "recall", "f1")]
            rows.append((row_name, *percent, f"{row['support']:,}"))
    msg.table(rows, header=header, divider=True, aligns=("l", "r", "r", "r", "r"))
    accuracy, speed = scores["token_accuracy"], scores["words_per_second"]
    if scores["f1_interval"] is not None:
        low, high = (100 * bound for bound in scores["f1_interval"])
        msg.text(f"95 % confidence interval of F1 {low:.2f} to {high:.2f}")
    msg.text(f"token accuracy {100 * accuracy:.2f}, {speed:,} words/s")
    raw, lower = scores["raw_text"], scores["lower_case"]
    msg.text(f"F1 on raw text {100 * raw:.2f}, in lower case {100 * lower:.2f}")
    f1 = scores["conlleval"]["overall"]["f1"]
    if abs(f1 - raw) > RAW_TEXT_GAP:
        msg.warn(
            f"{100 * f1:.2f} on gold words but {100 * raw:.2f} on raw text: the pipeline's "
            "tokenizer finds other words than the corpus has; is its language right?"
        )
    if scores["wordpiece"] is not None:
        f1 = 100 * scores["wordpiece"]["f1"]
        msg.text(f"F1 by wordpiece (as in the Hugging Face course) {f1:.2f}")
    if scores["calibration"] is not None:
        print_calibration(scores["calibration"])
    print_promises(scores["promises"])
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in scores["errors"].items())
    msg.text(f"mistakes by kind: {kinds}")
    for by, rows in scores["f1_by"].items():
        parts = (f"{bucket} {100 * r['f1']:.2f} ({r['support']:,})" for bucket, r in rows.items())
        msg.text(f"F1 by {by}: {', '.join(parts)}")
    print()


def print_promises(promises: dict[str, dict[str, Any]]) -> None:
    """Print whether the pipeline's promises are kept, on each form of the text."""
    for kind in promises["gold words"]:
        message, is_kept = describe_check(kind, promises)
        (msg.good if is_kept else msg.warn)(message)


@contextmanager
def new_folder(target: Path | None) -> Iterator[Path | None]:
    """YIELDS (Path | None): A folder that replaces `target` if the block succeeds."""
    if target is None:
        yield None
        return
    with atomic_write(target) as folder:
        folder.mkdir()
        yield folder


def print_calibration(calibration: dict[str, Any]) -> None:
    """Print the calibration error, overall, before calibration, and by type, in percent."""

    def errors(row: dict[str, Any]) -> str:
        keys = ("expected_calibration_error", "adaptive_calibration_error")
        return " / ".join(f"{100 * row[key]:.2f}" for key in keys)

    before = calibration["uncalibrated"]
    msg.text(
        "calibration error of the confidence scores, by bins of equal width / equal size: "
        + errors(calibration)
        + (f" (before calibration {errors(before)})" if before else "")
    )
    types = (f"{name} {errors(row)}" for name, row in calibration["types"].items())
    msg.text(f"calibration error by type: {', '.join(types)}")


@command
def main(
    pipeline: Pipeline,
    files: Annotated[list[Path], typer.Argument(help=".spacy or column files")],
    output: Annotated[Path | None, typer.Option(help="JSON file for the metrics"), WRITES] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="Folder of the corpus; its train split defines seen mentions"),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Folder to write the predicted documents to, SPLIT.spacy"),
        WRITES_FOLDER,
    ] = None,
    training_record: Annotated[
        Path | None, typer.Option(help="run.json of train, copied into the metrics")
    ] = None,
    gold_sentences: Annotated[
        bool,
        typer.Option(
            "--gold-sentences/--own-sentences",
            help="Give the pipeline the gold sentence boundaries",
        ),
    ] = False,
    device: Device = "auto",
) -> None:
    """Score a pipeline on gold tokens, in conlleval's protocol and in strict IOB2."""
    if len({path.stem for path in files}) < len(files):
        raise InputError("two files have the same name, but scores are stored by name; rename one")
    hint = "pass the run.json of train as --training-record"
    training = read_record(training_record, hint) if training_record else {}
    nlp, gpu = load_on_device(pipeline, device)
    buckets = make_buckets(corpus)
    empty = [path for path in files if len(files) > 1 and is_empty_split(path)]
    with new_folder(predictions) as folder:
        for path in empty:
            msg.info(f"{path} has no documents")
            if folder:
                write_docs([], folder / path.name)
        splits = {
            path.stem: evaluate_file(
                nlp,
                path,
                buckets,
                gold_sentences=gold_sentences,
                by_wordpiece=is_trained_on_all(training),
                predictions=folder and folder / f"{path.stem}.spacy",
            )
            for path in files
            if path not in empty
        }
    for name, scores in splits.items():
        print_scores(name, scores)
    if output is not None:
        corpus_files = find_splits(corpus).values() if corpus else []
        metrics = {
            "name": output.stem,
            "pipeline": pipeline,
            "training": training,
            "corpus": {str(path): sha256(path) for path in corpus_files},
            "evaluation": {
                "gold_sentences": gold_sentences,
                "hardware": describe_hardware(gpu),
                **describe_runtime(nlp),
                "versions": package_versions(),
                "peak_memory_mb": round(peak_memory_mb()),
                **peak_gpu_memory(gpu),
            },
            "splits": splits,
        }
        write_json(output, metrics)
        msg.good(f"{output}")
