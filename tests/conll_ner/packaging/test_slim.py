"""The command: precision, what int8 loses, calibration, and errors in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc

from conll_ner.common.overwriting import MARK
from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.docs import make_doc, write_docs
from conll_ner.evaluation import evaluate, robustness
from conll_ner.evaluation import report as report_page
from conll_ner.evaluation import scores as report
from conll_ner.packaging import slim
from tests.conftest import SAMPLE
from token_ner import Calibration

CALIBRATION = Calibration(0.5, 3.0).to_settings()


@pytest.fixture(scope="module")
def calibrated(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline of random weights, with a calibration that is far off."""
    folder = tmp_path_factory.mktemp("calibrated") / "pipeline"
    nlp = spacy.load(pipeline)
    head: Any = nlp.get_pipe("token_ner")
    head.cfg["calibration"] = CALIBRATION
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def gold(calibrated: Path) -> Path:
    """Two of three mentions of the pipeline are right."""
    nlp = spacy.load(calibrated)
    docs = []
    for document in read_corpus(SAMPLE / "valid.txt").documents[:25]:
        doc = make_doc(document, nlp.vocab)
        found = nlp(Doc(nlp.vocab, words=[token.text for token in doc]))
        doc.set_ents([ent for i, ent in enumerate(found.ents) if i % 3], default="outside")
        docs.append(doc)
    write_docs(docs, calibrated.parent / "dev.spacy")
    return calibrated.parent / "dev.spacy"


@pytest.mark.slow
def test_slim_int8_is_measured_and_calibrated_on_dev(
    calibrated: Path, gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "slim"
    slim.main(str(calibrated), output, "int8", gold)
    printed = " ".join(capsys.readouterr().out.split())
    made = json.loads((output / "meta.json").read_text())["slim"]
    assert made["precision"] == "int8"
    assert 0 < made["megabytes"] < 1
    dev = made["dev"]
    assert 0.6 < dev["f1_torch"] < 0.9
    assert 0 < dev["score_change"] < 0.5
    assert f"F1 {100 * dev['f1_torch']:.2f} with torch in float32" in printed
    assert f"{100 * dev['f1']:.2f} in int8" in printed
    lost = 100 * (dev["f1_torch"] - dev["f1"])
    assert ("use --precision float32" in printed) == (lost > 0.3)
    head: Any = spacy.load(output).get_pipe("token_ner")
    assert head.calibration is not None
    assert head.calibration.intercept < 2
    assert (output / MARK).is_file()
    metrics = tmp_path / "metrics.json"
    evaluate.main(str(output), [gold], metrics, device="cpu")
    record = json.loads(metrics.read_text())
    assert record["evaluation"]["runtime"] == "onnxruntime"
    assert record["evaluation"]["precision"] == "int8"
    assert "onnxruntime" in record["evaluation"]["versions"]
    assert record["splits"]["dev"]["conlleval"]["overall"]["f1"] == pytest.approx(dev["f1"])


@pytest.mark.slow
def test_slim_pipeline_is_reported_as_any_other(
    slim_pipeline: Path, gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By evaluate, robustness, report and report_page."""
    metrics, perturbed = tmp_path / "metrics.json", tmp_path / "robustness.json"
    evaluate.main(str(slim_pipeline), [gold], metrics, predictions=tmp_path / "found", device="cpu")
    robustness.main(str(slim_pipeline), [gold], perturbed, "cpu")
    scores = json.loads(metrics.read_text())["splits"]["dev"]
    capsys.readouterr()
    report.main([metrics])
    assert f"{100 * scores['conlleval']['overall']['f1']:.2f}" in capsys.readouterr().out
    report_page.main(metrics, tmp_path / "page.html", tmp_path / "found", robustness=perturbed)
    assert "typos" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_slim_loss_of_f1_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    loss = {"f1_torch": 0.9, "same": 90, "different": 10, "score_change": 0.25}
    slim.print_loss(loss | {"f1": 0.8971}, "int8", Path("dev.spacy"))
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(
        "dev.spacy: F1 90.00 with torch in float32, 89.71 in int8; 10 of 100 mentions differ; "
        "a score changes by 0.25 at most"
    )
    assert "points of F1" not in printed
    slim.print_loss(loss | {"f1": 0.8969}, "int8", Path("dev.spacy"))
    printed = " ".join(capsys.readouterr().out.split())
    assert "int8 loses 0.31 points of F1: use --precision float32" in printed


def test_slim_record_of_torch_names_its_precision(
    calibrated: Path, gold: Path, tmp_path: Path
) -> None:
    evaluate.main(str(calibrated), [gold], tmp_path / "metrics.json", device="cpu")
    record = json.loads((tmp_path / "metrics.json").read_text())["evaluation"]
    assert record["runtime"] == "torch"
    assert record["precision"] in ("bfloat16", "float32")


@pytest.mark.parametrize("kind", ["no pipeline", "no dev", "file", "foreign folder", "slim"])
def test_slim_errors_are_one_line(
    kind: str,
    calibrated: Path,
    slim_pipeline: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And nothing is written, or replaced."""
    pipeline, output, dev = str(calibrated), tmp_path / "out", None
    if kind == "no pipeline":
        (tmp_path / "empty").mkdir()
        pipeline, message = str(tmp_path / "empty"), "is not a pipeline"
    elif kind == "no dev":
        dev, message = tmp_path / "none.spacy", "none.spacy"
    elif kind == "file":
        output.write_text("mine")
        message = "is a file, and the output is a folder"
    elif kind == "foreign folder":
        output.mkdir()
        (output / "mine.txt").touch()
        message = "contains files that this project didn't write"
    else:
        pipeline, message = str(slim_pipeline), "is a slim pipeline already"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as error:
        slim.main(pipeline, output, "int8", dev)
    assert error.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert message in line
    assert sorted(tmp_path.rglob("*")) == before
