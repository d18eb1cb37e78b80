"""A pipeline on gold tokens, compared by seqeval; spaCy's own scorer must agree."""

import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import spacy
import typer
from seqeval.metrics import accuracy_score, classification_report
from seqeval.scheme import IOB2
from spacy.language import Language
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import require_gpu

import token_ner  # noqa: F401  to register the component
from bootstrap import count_by_document, f1_interval
from calibration import assess
from conll import read_corpus
from console import InputError, clear_errors, msg
from convert import read_gold, write_docs
from device import describe_hardware, package_versions, peak_memory_mb, resolve_device
from errors import Bucket, by_length, by_position, by_seen, confusion, count_errors, f1_by
from files import sha256, written_aside
from wordpieces import score_wordpieces

# seqeval's default mode imitates conlleval.pl; strict needs both its arguments.
PROTOCOLS: dict[str, dict[str, Any]] = {
    "conlleval": {},
    "strict": {"mode": "strict", "scheme": IOB2},
}
OVERALL = "micro avg"  # seqeval's name for all types together


def load_pipeline(path: str) -> Language:
    """RETURNS (Language): A pipeline from its folder or its installed package.
    RAISES (InputError): If there is none."""
    try:
        return spacy.load(path)
    except OSError as error:
        raise InputError(
            f"{path} is no pipeline: name a folder that training wrote (training/…/model-best) "
            f"or an installed package ({str(error).splitlines()[0]})"
        ) from None


def load_on_device(path: str, device: str) -> tuple[Language, int]:
    """RETURNS (tuple[Language, int]): A pipeline on the device that a `--device` means, and
    spaCy's GPU id: -1 for the CPU.
    RAISES (InputError): If there is no such pipeline or device."""
    gpu = resolve_device(device)
    if gpu >= 0:
        require_gpu(gpu)
    return load_pipeline(path), gpu


def unknown_types(nlp: Language, gold: Sequence[Doc]) -> list[str]:
    """RETURNS (list[str]): Types of gold mentions that no component can give, sorted; none where
    the pipeline doesn't tell its types."""
    known = {
        label
        for name, labels in nlp.pipe_labels.items()
        if "doc.ents" in nlp.get_pipe_meta(name).assigns
        for label in labels
    }
    found = {ent.label_ for doc in gold for ent in doc.ents}
    return sorted(found - known) if known else []


def predict(nlp: Language, gold: Sequence[Doc], *, gold_sentences: bool = False) -> list[Doc]:
    """RETURNS (list[Doc]): New docs with the same words, annotated by the pipeline alone.
    RAISES (InputError): If the pipeline's weights are broken."""
    try:
        return list(nlp.pipe(bare_copy(doc, nlp, gold_sentences) for doc in gold))
    except FloatingPointError as error:
        raise InputError(str(error)) from None


def bare_copy(doc: Doc, nlp: Language, gold_sentences: bool = False) -> Doc:
    """RETURNS (Doc): The words and nothing else, as in spaCy's evaluation while training; or the
    words and where sentences start."""
    words = [token.text for token in doc]
    if not (gold_sentences and doc.has_annotation("SENT_START")):
        return Doc(nlp.vocab, words=words)
    return Doc(nlp.vocab, words=words, sent_starts=[token.is_sent_start for token in doc])


def labels(docs: Sequence[Doc]) -> list[list[str]]:
    """RETURNS (list[list[str]]): For each doc the IOB2 label of each word."""
    return [[f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc] for doc in docs]


def score(gold: Sequence[Doc], predicted: Sequence[Doc]) -> dict[str, Any]:
    """Score predictions by mentions, exact in span and type, and by words.

    RETURNS (dict[str, Any]): For each of PROTOCOLS, `overall` and by type under `types`:
        precision, recall, f1 (0 where undefined) and support; and `token_accuracy`.
    RAISES (RuntimeError): If spaCy's scorer counts differently on the same docs.
    """
    gold_labels, predicted_labels = labels(gold), labels(predicted)
    scores: dict[str, Any] = {"token_accuracy": accuracy_score(gold_labels, predicted_labels)}
    for protocol, arguments in PROTOCOLS.items():
        with warnings.catch_warnings():
            # seqeval's macro average, which we don't use, warns where there is no mention.
            warnings.simplefilter("ignore", RuntimeWarning)
            report = classification_report(
                gold_labels, predicted_labels, output_dict=True, zero_division=0, **arguments
            )
        rows = {
            name: {
                "precision": float(row["precision"]),
                "recall": float(row["recall"]),
                "f1": float(row["f1-score"]),
                "support": int(row["support"]),
            }
            for name, row in report.items()
        }
        types = {name: row for name, row in rows.items() if not name.endswith(" avg")}
        scores[protocol] = {"overall": rows[OVERALL], "types": types}
    check_against_spacy(gold, predicted, scores)
    return scores


def check_against_spacy(
    gold: Sequence[Doc], predicted: Sequence[Doc], scores: dict[str, Any]
) -> None:
    """RAISES (RuntimeError): If spaCy's scorer and seqeval differ: on gold tokens and
    well-formed labels, all three protocols count the same mentions."""
    examples = [Example(*pair) for pair in zip(predicted, gold, strict=True)]
    spacy_f1 = get_ner_prf(examples)["ents_f"] or 0.0
    for protocol in PROTOCOLS:
        f1 = scores[protocol]["overall"]["f1"]
        if abs(f1 - spacy_f1) > 1e-9:
            raise RuntimeError(f"F1 is {f1} by seqeval ({protocol}) but {spacy_f1} by spaCy")


def evaluate_file(
    nlp: Language,
    path: Path,
    buckets: dict[str, Bucket],
    *,
    gold_sentences: bool = False,
    predictions: Path | None = None,
) -> dict[str, Any]:
    """Score a pipeline on one file.

    buckets (dict[str, Bucket]): What to score mentions by.
    gold_sentences (bool): Whether the pipeline is told where sentences start.
    predictions (Path | None): Where to write the annotated docs, as DocBin.
    RETURNS (dict[str, Any]): As `score`; `f1_interval`, the 95 % confidence interval of F1;
        `by_document`, each one's right, predicted and gold mentions; `errors` by kind and
        `confusion` of types; `f1_by` bucket; `calibration`; `wordpiece`, the protocol of the
        well-known recipe; `unknown_types` to the pipeline; the file's size, and the speed.
    RAISES (InputError): If the file can't be read or has no mention: F1 is then undefined.
    """
    gold = read_gold(path, nlp.vocab)
    if not any(doc.ents for doc in gold):
        raise InputError(f"{path}: no mention in it, so that there is no F1; name a labelled file")
    unknown = unknown_types(nlp, gold)
    if unknown:
        msg.warn(f"{path}: the pipeline has no {', '.join(unknown)}; all such mentions are missed")
    start = time.perf_counter()
    predicted = predict(nlp, gold, gold_sentences=gold_sentences)
    seconds = time.perf_counter() - start
    words = sum(map(len, gold))
    if predictions is not None:
        write_docs(predicted, predictions, user_data=False)
    counts = count_by_document(gold, predicted)
    return score(gold, predicted) | {
        "f1_interval": f1_interval(counts),
        "by_document": counts,
        "errors": count_errors(gold, predicted),
        "confusion": confusion(gold, predicted),
        "f1_by": {name: f1_by(gold, predicted, bucket) for name, bucket in buckets.items()},
        "calibration": assess(gold, predicted),
        "wordpiece": score_wordpieces(nlp, gold, predicted, labels(gold)),
        "unknown_types": unknown,
        "file": str(path),
        "sha256": sha256(path),
        "documents": len(gold),
        "words": words,
        "seconds": round(seconds, 2),
        "words_per_second": round(words / seconds),
    }


def make_buckets(corpus: Path | None) -> dict[str, Bucket]:
    """RETURNS (dict[str, Bucket]): Length, position, and if there is a train.txt, whether a
    mention is in it."""
    buckets: dict[str, Bucket] = {"length": by_length, "position": by_position}
    train = corpus / "train.txt" if corpus else None
    if train is not None and train.is_file():
        buckets["seen"] = by_seen(
            (" ".join(sentence.words[mention.start : mention.end]), mention.type)
            for document in read_corpus(train).documents
            for sentence in document.sentences
            for mention in sentence.mentions
        )
    return buckets


def print_scores(name: str, scores: dict[str, Any]) -> None:
    """Print one file's scores as a table, in percent."""
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
    if scores["wordpiece"] is not None:
        f1 = 100 * scores["wordpiece"]["f1"]
        msg.text(f"by wordpieces, argmax on each, as in Hugging Face's recipe: F1 {f1:.2f}")
    if scores["calibration"] is not None:
        error = scores["calibration"]["expected_calibration_error"]
        msg.text(f"expected calibration error of the scores {100 * error:.2f}")
    msg.text(", ".join(f"{number:,} {kind}" for kind, number in scores["errors"].items()))
    for by, rows in scores["f1_by"].items():
        parts = (f"{bucket} {100 * r['f1']:.2f} ({r['support']:,})" for bucket, r in rows.items())
        msg.text(f"F1 by {by}: {', '.join(parts)}")
    print()


def training_record(pipeline: str) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): What training wrote beside the pipeline, if it did."""
    path = Path(pipeline).parent / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or installed package")],
    files: Annotated[list[Path], typer.Argument(help=".spacy or column files")],
    output: Annotated[Path | None, typer.Option(help="JSON file for the metrics")] = None,
    corpus: Annotated[Path | None, typer.Option(help="Folder of the column files")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Folder for the annotated documents, SPLIT.spacy")
    ] = None,
    gold_sentences: Annotated[
        bool,
        typer.Option(
            "--gold-sentences/--own-sentences",
            help="Tell the pipeline where sentences start, as recipes by sentence do",
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU's number")] = "auto",
) -> None:
    """Score a pipeline on gold tokens: by type, in conlleval's protocol and in strict IOB2."""
    with clear_errors():
        if len({path.stem for path in files}) < len(files):
            raise InputError("two files have the same name, by which scores go: rename one")
        nlp, gpu = load_on_device(pipeline, device)
        buckets = make_buckets(corpus)
        splits = {
            path.stem: evaluate_file(
                nlp,
                path,
                buckets,
                gold_sentences=gold_sentences,
                predictions=predictions / f"{path.stem}.spacy" if predictions else None,
            )
            for path in files
        }
        for name, scores in splits.items():
            print_scores(name, scores)
        if output is not None:
            corpus_files = sorted(corpus.glob("*.txt")) if corpus else []
            metrics = {
                "name": output.stem,
                "pipeline": pipeline,
                "training": training_record(pipeline),
                "corpus": {str(path): sha256(path) for path in corpus_files},
                "evaluation": {
                    "gold_sentences": gold_sentences,
                    "hardware": describe_hardware(gpu),
                    "versions": package_versions(),
                    "peak_memory_mb": round(peak_memory_mb()),
                },
                "splits": splits,
            }
            with written_aside(output) as aside:
                aside.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
            msg.good(f"{output}")


if __name__ == "__main__":
    typer.run(main)
