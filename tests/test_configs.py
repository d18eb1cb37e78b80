"""Every config resolves and is complete."""

from pathlib import Path

import pytest
from spacy.schemas import ConfigSchemaTraining
from spacy.util import dot_to_object, load_config, load_model_from_config, registry

import token_ner  # noqa: F401  to register the component
from conll_ner.huggingface.importing import DEFAULTS
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


def test_configs_and_imported_pipelines_have_the_same_settings() -> None:
    config = load_config(ROOT / "configs" / "token_ner.cfg", interpolate=False)
    assert {name: dot_to_object(config, name) for name in DEFAULTS} == DEFAULTS
