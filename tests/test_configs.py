"""Every config resolves and is complete."""

import json
from pathlib import Path

import pytest
import spacy
from spacy.cli.train import train
from spacy.schemas import ConfigSchemaTraining
from spacy.util import load_config, load_model_from_config, registry

import token_ner  # noqa: F401  to register the component
from conll_ner.data.converting import Conversion, convert_files
from conll_ner.data.formats.aligning import GOLD
from conll_ner.data.formats.annotated import Reading
from tests.conftest import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def config_path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_configs_resolve(config_path: Path, tiny_backbone: Path) -> None:
    paths = {"paths.train": "t", "paths.dev": "d", "paths.backbone": str(tiny_backbone)}
    config = load_config(config_path, overrides=paths, interpolate=True)
    nlp = load_model_from_config(config, auto_fill=False)
    assert nlp.pipe_names == config["nlp"]["pipeline"]
    registry.resolve(config["training"], schema=ConfigSchemaTraining)


def test_configs_are_complete(config_path: Path, tiny_backbone: Path) -> None:
    """spaCy's auto-fill adds nothing."""
    overrides = {"paths.backbone": str(tiny_backbone)}
    config = load_config(config_path, overrides=overrides, interpolate=False)
    nlp = load_model_from_config(config, auto_fill=True)
    for section in ("nlp", "components", "corpora", "training", "initialize"):
        assert nlp.config[section] == config[section]


def test_configs_leave_paths_to_the_command_line(config_path: Path) -> None:
    config = load_config(config_path, interpolate=False)
    assert set(config["paths"].values()) == {None}


@pytest.mark.slow
def test_spancat_learns_the_nested_mentions_that_convert_keeps(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    """A config as it is, on what `convert` writes."""
    text = "The Norden Bank fell ."
    spans = [[4, 15, "ORG"], [4, 10, "LOC"]]
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": text, "label": spans}))
    how = Conversion(Reading(spacy.blank("en")))
    convert_files([tmp_path / "in.jsonl"], tmp_path / "train.spacy", how)
    data = str(tmp_path / "train.spacy")
    settings = {
        "paths.train": data,
        "paths.dev": data,
        "paths.backbone": str(tiny_backbone),
        "training.max_epochs": 0,
        "training.max_steps": 60,
        "training.eval_frequency": 60,
        "training.dropout": 0.0,
        "training.optimizer.learn_rate.initial_rate": 0.01,
        "components.transformer.model.precision": "float32",
    }
    train(ROOT / "configs" / "spancat.cfg", tmp_path / "out", overrides=settings)
    doc = spacy.load(tmp_path / "out" / "model-last")(text)
    found = {(span.start_char, span.end_char, span.label_) for span in doc.spans[GOLD]}
    assert found == {tuple(span) for span in spans}
