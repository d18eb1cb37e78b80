"""The command calibrate: it fits, saves, and changes nothing else."""

import json
import shutil
from pathlib import Path

import numpy
import pytest
import spacy
import typer
from spacy.tokens import Doc, DocBin, Span
from typer.testing import CliRunner

from conll_ner.common.files import sha256
from conll_ner.common.pipelines import load_pipeline
from conll_ner.data.docs import read_gold
from conll_ner.evaluation.seqeval_scores import annotate_gold
from conll_ner.training import calibrate
from tests.conftest import ROOT, SAMPLE
from token_ner import Calibration, list_candidates, text_key

app = typer.Typer()
app.command()(calibrate.main)
KEPT = ROOT / "tests" / "data" / "pipeline"
TRUE = Calibration(slope=1.2, intercept=1.5)


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KEPT, tmp_path / "pipeline"))


@pytest.fixture(scope="module")
def predicted() -> list[Doc]:
    nlp = load_pipeline(str(KEPT))
    docs = read_gold(SAMPLE / "train.txt", nlp.vocab)[:24]
    return annotate_gold(nlp, [sentence.as_doc() for doc in docs for sentence in doc.sents])


@pytest.fixture(scope="module")
def scores(predicted: list[Doc]) -> numpy.ndarray:
    return numpy.array([ent._.score for doc in predicted for ent in doc.ents])


@pytest.fixture(scope="module")
def right(scores: numpy.ndarray) -> numpy.ndarray:
    """Whether each predicted mention is also a gold one: drawn by the TRUE probability."""
    drawn: numpy.ndarray = numpy.random.default_rng(0).random(len(scores)) < TRUE.apply(scores, ())
    return drawn


@pytest.fixture(scope="module")
def gold(
    predicted: list[Doc], right: numpy.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The documents with the right mentions only."""
    draws = iter(right)
    docs = []
    for doc in predicted:
        copy = Doc(doc.vocab, words=[token.text for token in doc])
        spans = [Span(copy, e.start, e.end, label=e.label_) for e in doc.ents if next(draws)]
        copy.set_ents(spans)
        docs.append(copy)
    path = tmp_path_factory.mktemp("gold") / "gold.spacy"
    DocBin(docs=docs).to_disk(path)
    return path


def settings(pipeline: Path) -> dict[str, object]:
    return dict(json.loads((pipeline / "token_ner" / "cfg").read_text()))


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])
    return result.exit_code, result.stdout, result.stderr


def test_calibrate_saves_the_fit_and_changes_nothing_else(
    pipeline: Path, gold: Path, predicted: list[Doc]
) -> None:
    before, files = settings(pipeline), {p: sha256(p) for p in pipeline.rglob("*") if p.is_file()}
    code, printed, _ = run(pipeline, gold)
    assert code == 0
    assert "expected calibration error" in printed
    after = settings(pipeline)
    fitted = after.pop("calibration")
    assert before.pop("calibration") is None
    assert after == before
    assert {p for p, digest in files.items() if sha256(p) != digest} == {pipeline / "token_ner/cfg"}
    assert set(pipeline.rglob("*")) - files.keys() == {p for p in pipeline.rglob("*") if p.is_dir()}
    fit = Calibration.from_settings(fitted)  # type: ignore[arg-type]
    assert fit[:3] == pytest.approx(TRUE[:3], abs=0.25)
    nlp = load_pipeline(str(pipeline))
    for old, new in zip(predicted, annotate_gold(nlp, predicted), strict=True):
        assert [(e.start, e.end, e.label_) for e in new.ents] == [
            (e.start, e.end, e.label_) for e in old.ents
        ]
        expected = fit.apply(numpy.array([ent._.score for ent in old.ents]), ())
        assert [ent._.score for ent in new.ents] == pytest.approx(expected.tolist(), abs=1e-3)


PROMISES = ("--precision", 0.7, "--recall", 0.6)


def test_calibrate_twice_gives_the_same(pipeline: Path, gold: Path) -> None:
    """The second fit starts from scores without calibration and without threshold."""
    run(pipeline, gold, *PROMISES)
    once = settings(pipeline)
    run(pipeline, gold, *PROMISES)
    assert settings(pipeline) == once


def test_calibrate_makes_promises(
    pipeline: Path,
    gold: Path,
    predicted: list[Doc],
    scores: numpy.ndarray,
    right: numpy.ndarray,
) -> None:
    code, printed, _ = run(pipeline, gold, *PROMISES, "--check", 5)
    assert code == 0
    saved = settings(pipeline)
    printed = " ".join(printed.split())
    assert f"samples of {len(predicted)} documents like {gold.name}" in printed
    assert f"; threshold: {saved['threshold']}" in printed
    assert "not broken in %" in printed
    made = json.loads((pipeline / "meta.json").read_text())["promises"]
    assert made["precision"]["least"] == saved["threshold"]
    assert made["recall"]["least"] == saved["candidates"]
    assert (made["recall"]["gold"], made["recall"]["documents"]) == (gold.name, len(predicted))
    fit = Calibration.from_settings(saved["calibration"])  # type: ignore[arg-type]
    kept = fit.apply(scores, ()) >= saved["threshold"]
    assert made["precision"]["share"] == pytest.approx(right[kept].mean(), abs=0.01)
    nlp = load_pipeline(str(pipeline))
    for kind, promise in made.items():
        assert nlp.meta["promises"][kind] == pytest.approx(promise)
    docs = annotate_gold(nlp, read_gold(gold, nlp.vocab))
    least = made["recall"]["least"]
    assert all(score >= least for doc in docs for _, score in list_candidates(doc))


def test_calibrate_makes_the_promises_of_before_again(pipeline: Path, gold: Path) -> None:
    run(pipeline, gold, "--precision", 0.5)
    run(pipeline, gold, "--recall", 0.3, "--by-type", "--confidence", 0.6)
    made = json.loads((pipeline / "meta.json").read_text())["promises"]
    assert made["precision"]["least"] == settings(pipeline)["threshold"]
    assert made["recall"]["least"] == settings(pipeline)["candidates"]
    assert made["recall"]["least"].keys() == made["recall"]["share"].keys() > {"PER"}


def test_calibrate_keeps_settings_that_no_promise_has_made(pipeline: Path, gold: Path) -> None:
    nlp = load_pipeline(str(pipeline))
    head = nlp.get_pipe("token_ner")
    head.threshold, head.candidates = 0.25, 0.05  # type: ignore[attr-defined]
    nlp.to_disk(pipeline)
    run(pipeline, gold)
    after = settings(pipeline)
    assert (after["threshold"], after["candidates"]) == (0.25, 0.05)


def test_calibrate_with_the_training_data_and_again_without(
    pipeline: Path, gold: Path, predicted: list[Doc], right: numpy.ndarray, tmp_path: Path
) -> None:
    """The training data has the mentions that are right more often, so the others get less. The
    next calibration, on other gold, needs no --train."""
    texts = [ent.text for doc in predicted for ent in doc.ents]
    known = {text for text, is_right in zip(texts, right, strict=True) if is_right}
    docs = [Doc(predicted[0].vocab, words=text.split()) for text in sorted(known)]
    for doc in docs:
        doc.set_ents([Span(doc, 0, len(doc), label="PER")])
    DocBin(docs=docs).to_disk(tmp_path / "train.spacy")
    code, printed, _ = run(pipeline, gold, "--train", tmp_path / "train.spacy")
    assert code == 0
    fit = Calibration.from_settings(settings(pipeline)["calibration"])  # type: ignore[arg-type]
    assert fit.seen == {text_key(text) for text in known}
    assert fit.unseen < -1
    assert f"seen {len(fit.seen)}" in printed
    run(pipeline, gold)
    again = Calibration.from_settings(settings(pipeline)["calibration"])  # type: ignore[arg-type]
    assert again == fit


def test_calibrate_bad_input_is_one_line_and_writes_nothing(
    pipeline: Path, gold: Path, tmp_path: Path
) -> None:
    vocab = spacy.blank("en").vocab
    DocBin(docs=[Doc(vocab, words=["a"], ents=["O"])]).to_disk(tmp_path / "none.spacy")
    DocBin(docs=[Doc(vocab, words=["a"], ents=["B-PER"])]).to_disk(tmp_path / "one.spacy")
    other = tmp_path / "other"
    spacy.blank("en").to_disk(other)
    before = settings(pipeline)
    cases: list[tuple[list[object], str]] = [
        ([tmp_path / "nowhere", gold], "no such folder"),
        ([pipeline, tmp_path / "nothing.spacy"], "no such file"),
        ([pipeline, tmp_path / "none.spacy"], "contain no mentions"),
        ([pipeline, tmp_path / "one.spacy"], "too few predicted mentions"),
        ([other, gold], "0 token_ner components"),
        ([pipeline, gold, "--precision", 0.9999], "a precision of 0.9999 can't be promised"),
        ([pipeline, gold, "--recall", 0.9999], "a recall of 0.9999 can't be promised"),
        ([pipeline, gold, "--train", tmp_path / "nothing.spacy"], "no such file"),
    ]
    for arguments, words in cases:
        code, _, error = run(*arguments)
        assert code == 1
        assert words in error
        assert len(error.splitlines()) == 1
    assert settings(pipeline) == before
