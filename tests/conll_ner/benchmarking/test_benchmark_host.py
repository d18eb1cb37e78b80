"""The host's cost by stage: every stage is measured, and nothing else changes."""

import json
from pathlib import Path

import pytest
import spacy
import typer
from spacy.vocab import Vocab
from typer.testing import CliRunner

from conll_ner.benchmarking import benchmark_host
from conll_ner.benchmarking.host import STAGES, Playback, measure_prediction
from conll_ner.common.pipelines import load_pipeline
from conll_ner.data.docs import read_gold, write_docs
from tests.conftest import ROOT, SAMPLE
from token_ner.torch_model import forward
from token_ner.wordpieces import WordEncoder

app = typer.Typer()
app.command()(benchmark_host.main)
PIPELINE = str(ROOT / "tests" / "data" / "pipeline")


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    write_docs(read_gold(SAMPLE / "valid.txt", Vocab()), tmp_path / "dev.spacy")
    return tmp_path / "dev.spacy"


def test_every_stage_is_measured_and_they_add_up(gold: Path, tmp_path: Path) -> None:
    arguments = [PIPELINE, str(gold), "--documents", "6", "--passes", "1", "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "host.json")])
    assert result.exit_code == 0, result.output
    measured = json.loads((tmp_path / "host.json").read_text(encoding="utf-8"))
    assert set(measured) == {"documents", "sentences", "training"}
    training = {"gold", "loss", "reading"}
    prediction = {"tokenizer", "lattice", "decoding", "annotations"}
    for name, stages in measured.items():
        expected = {*STAGES, "head", "tokenizer", "reading", "rest", "all"}
        assert set(stages) == expected - (prediction if name == "training" else training)
        assert all(value > 0 for value in stages.values())
        total = sum(value for stage, value in stages.items() if stage != "all")
        assert total == pytest.approx(stages["all"])
        assert all(stage in result.stdout for stage in stages)


def test_slim_pipelines_are_measured_in_prediction(
    slim_pipeline: Path, gold: Path, tmp_path: Path
) -> None:
    arguments = [slim_pipeline, gold, "--documents", 6, "--passes", 1, "--device", "cpu"]
    output = tmp_path / "host.json"
    result = CliRunner().invoke(app, [*map(str, arguments), "--output", str(output)])
    assert result.exit_code == 0, result.output
    measured = json.loads(output.read_text(encoding="utf-8"))
    assert set(measured) == {"documents", "sentences"}
    for stages in measured.values():
        expected = {*STAGES, "head", "tokenizer", "rest", "all"} - {"gold", "loss"}
        assert set(stages) == expected
        total = sum(value for stage, value in stages.items() if stage != "all")
        assert total == pytest.approx(stages["all"])


def test_playback_gives_the_same_mentions_without_the_transformer() -> None:
    nlp = load_pipeline(PIPELINE)
    texts = ["Ada Lindqvist left Varnholm.", "Norden grew."]
    expected = [[str(ent) for ent in doc.ents] for doc in nlp.pipe(texts)]
    kept, encode = forward.run_transformer, WordEncoder.encode_docs
    assert measure_prediction(nlp, texts, batch_size=2, passes=1)["all"] > 0
    assert forward.run_transformer is kept  # everything is as it was
    assert WordEncoder.encode_docs is encode
    playback = Playback(forward.run_transformer)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forward, "run_transformer", playback)
        list(nlp.pipe(texts))
        playback.rewind()
        playback.run = None  # type: ignore[assignment]
        found = [[str(ent) for ent in doc.ents] for doc in nlp.pipe(texts)]
    assert found == expected


def test_invalid_input_is_reported_in_one_line(gold: Path, tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    for pipeline, words in (
        ("nowhere", "is not a pipeline"),
        (tmp_path / "blank", "has 0 transformer components"),
    ):
        result = CliRunner().invoke(app, [str(pipeline), str(gold), "--device", "cpu"])
        assert result.exit_code == 1
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1
