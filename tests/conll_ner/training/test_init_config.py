"""Configs for projects of one's own."""

import json
from pathlib import Path

import pytest
from spacy.util import load_config, registry
from spacy.vocab import Vocab
from typer.testing import CliRunner

from conll_ner.cli import app
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.training.config_template import render_config
from conll_ner.training.planning import plan_steps
from tests.conftest import ROOT, SAMPLE
from tests.token_ner.support import SHORT_CONFIG

CONFIG = ROOT / "configs" / "token_ner.cfg"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["init-config", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def fail(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["init-config", *map(str, arguments)])
    assert result.exit_code == 1
    return result.output


@pytest.fixture
def train(tmp_path: Path) -> Path:
    write_docs(read_gold(SAMPLE / "train.txt", Vocab()), tmp_path / "train.spacy")
    return tmp_path / "train.spacy"


def test_the_projects_config_is_its_output_for_english() -> None:
    assert CONFIG.read_text(encoding="utf-8") == render_config()


def test_a_short_config_has_the_same_defaults(tmp_path: Path) -> None:
    """spaCy's auto-fill, which knows those of the factory and the architectures."""
    from spacy.cli.init_config import fill_config

    (tmp_path / "short.cfg").write_text(SHORT_CONFIG, encoding="utf-8")
    _, filled = fill_config(tmp_path / "filled.cfg", tmp_path / "short.cfg", silent=True)
    expected = load_config(CONFIG, interpolate=False)
    components = expected["components"]
    components["transformer"]["model"]["name"] = "backbone"
    components["transformer"]["max_batch_items"] = 4096  # of spacy-transformers' factory
    components["token_ner"]["model"]["tok2vec"]["upstream"] = "*"
    assert filled["components"] == components
    weights = filled["training"]["score_weights"]
    assert weights == expected["training"]["score_weights"]
    assert weights["ents_f"] == 1.0
    assert weights["sents_f"] == 0.0


def test_settings_follow_language_backbone_and_device(tmp_path: Path) -> None:
    backbone = tmp_path / "small"
    backbone.mkdir()
    (backbone / "config.json").write_text(json.dumps({"hidden_size": 384}), encoding="utf-8")
    output = tmp_path / "deep" / "config.cfg"
    printed = run(output, "--lang", "de", "--backbone", backbone, "--gpu", "--epochs", 7)
    assert f"python -m spacy train {output} --output OUTPUT --paths.train … --paths.dev …" in (
        " ".join(printed.split())
    )
    config = load_config(output).interpolate()
    assert config["nlp"]["lang"] == "de"
    assert config["paths"]["backbone"] == str(backbone)
    assert config["components"]["transformer"]["model"]["window"] == 128
    assert config["components"]["transformer"]["model"]["case_learn_rate_factor"] == 1.0
    assert config["training"]["optimizer"]["learn_rate"]["initial_rate"] == 2e-4
    assert config["training"]["batcher"]["size"] == 750
    assert config["training"]["max_epochs"] == 7


def test_training_documents_plan_the_schedule_as_train_does(tmp_path: Path, train: Path) -> None:
    run(tmp_path / "planned.cfg", "--train", train, "--dev", train)
    run(tmp_path / "plain.cfg")
    paths = {"paths.train": str(train), "paths.dev": str(train)}
    plain = load_config(tmp_path / "plain.cfg", overrides=paths, interpolate=False)
    planned = load_config(tmp_path / "planned.cfg", interpolate=False)
    assert planned == plan_steps(plain)
    training = planned["training"]
    assert training["max_steps"] % training["eval_frequency"] == 0  # so plain spaCy evaluates it
    schedule = registry.resolve({"rate": training["optimizer"]["learn_rate"]})["rate"]
    rates = [next(schedule) for _ in range(training["max_steps"] + 1)]
    assert max(rates) == pytest.approx(5e-5)
    assert rates[-1] == 0.0


def test_training_documents_alone_are_enough_to_plan(tmp_path: Path, train: Path) -> None:
    run(tmp_path / "both.cfg", "--train", train, "--dev", train)
    run(tmp_path / "alone.cfg", "--train", train)
    both, alone = (load_config(tmp_path / f"{name}.cfg") for name in ("both", "alone"))
    assert alone["paths"]["dev"] is None
    assert alone["training"] == both["training"]


def test_bad_input_is_one_line_and_writes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "config.cfg"
    (tmp_path / "empty").mkdir()
    assert "is no folder, and not had from the hub" in fail(output, "--backbone", "nowhere")
    assert "no such file; fetch the backbone" in fail(output, "--backbone", tmp_path / "empty")
    assert "language xx-yy" in fail(output, "--lang", "xx-yy")
    (tmp_path / "torn.spacy").write_bytes(b"torn")
    torn = fail(output, "--train", tmp_path / "torn.spacy")
    assert "the corpus can't be read" in torn
    assert len(torn.splitlines()) == 1
    result = CliRunner().invoke(app, ["init-config", str(output), "--train", "nowhere.spacy"])
    assert result.exit_code == 2
    assert "does not exist" in result.output
    assert not output.exists()


def test_a_hub_id_in_the_cache_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers left it there, without the network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--owner--name"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc" / "config.json").write_text('{"hidden_size": 256}')
    run(tmp_path / "config.cfg", "--backbone", "owner/name")
    config = load_config(tmp_path / "config.cfg")
    assert config["paths"]["backbone"] == "owner/name"
    assert config["training"]["optimizer"]["learn_rate"]["initial_rate"] == 2e-4
