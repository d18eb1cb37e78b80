"""Settings that follow the size of the backbone."""

import json
from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from conll_ner.training.backbone_defaults import (
    BATCH_WORDPIECES,
    BATCH_WORDS,
    CASE_FACTOR,
    LEARN_RATE,
    WINDOW,
    backbone_size,
    parse_learn_rate,
    resolve_auto,
)
from tests.conftest import ROOT

CONFIG = ROOT / "configs" / "token_ner.cfg"


def backbone(folder: Path, **config: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_size_by_the_width_of_the_model(tmp_path: Path) -> None:
    assert backbone_size(backbone(tmp_path / "minilm", hidden_size=384)) == "small"
    assert backbone_size(backbone(tmp_path / "bert", hidden_size=768)) == "base"
    assert backbone_size(backbone(tmp_path / "distilbert", dim=768)) == "base"
    assert backbone_size(backbone(tmp_path / "unknown", layers=3)) == "base"


def test_auto_takes_the_defaults_of_the_size_and_options_win(tmp_path: Path) -> None:
    small = {"paths.backbone": str(backbone(tmp_path / "small", hidden_size=384))}
    base = {"paths.backbone": str(backbone(tmp_path / "base", hidden_size=768))}
    auto = {LEARN_RATE: "auto", WINDOW: "auto", CASE_FACTOR: "auto"}
    by_device = {BATCH_WORDPIECES: "auto"}  # resolved by the transformer
    assert resolve_auto(CONFIG, small | by_device, -1) == small | by_device
    assert resolve_auto(CONFIG, small | auto, -1) == small | {
        LEARN_RATE: 2e-4,
        WINDOW: 128,
        CASE_FACTOR: 1.0,
    }
    resolved = resolve_auto(CONFIG, base | auto | {LEARN_RATE: 3e-5}, -1)
    assert resolved == base | {LEARN_RATE: 3e-5, WINDOW: None, CASE_FACTOR: 40.0}
    assert resolve_auto(CONFIG, small | {LEARN_RATE: 1e-3}, -1) == small | {LEARN_RATE: 1e-3}


@pytest.mark.parametrize(("gpu", "words"), [(-1, 500), (0, 750)])
def test_auto_batches_follow_the_device(tmp_path: Path, gpu: int, words: int) -> None:
    overrides = {"paths.backbone": str(backbone(tmp_path / "b", hidden_size=384))}
    for config in ("token_ner.cfg", "transition_ner.cfg"):
        resolved = resolve_auto(ROOT / "configs" / config, overrides | {BATCH_WORDS: "auto"}, gpu)
        assert resolved == overrides | {BATCH_WORDS: words}


def test_auto_leaves_out_settings_that_the_config_lacks(tmp_path: Path) -> None:
    overrides = {"paths.backbone": str(backbone(tmp_path / "b", hidden_size=384))}
    config = ROOT / "configs" / "transition_ner.cfg"
    auto = {LEARN_RATE: "auto", WINDOW: "auto", BATCH_WORDPIECES: "auto"}
    resolved = resolve_auto(config, overrides | auto, -1)
    assert resolved == overrides | {LEARN_RATE: 2e-4}


def test_auto_errors(tmp_path: Path) -> None:
    there = {"paths.backbone": str(backbone(tmp_path / "b", hidden_size=384))}
    with pytest.raises(InputError, match=r"paths\.backbone is not set"):
        resolve_auto(CONFIG, {WINDOW: "auto"}, -1)
    with pytest.raises(InputError, match="the backbone nowhere is no folder"):
        resolve_auto(CONFIG, {WINDOW: "auto", "paths.backbone": "nowhere"}, -1)
    with pytest.raises(InputError, match=r"--training\.dropout auto: only training\.opt"):
        resolve_auto(CONFIG, there | {"training.dropout": "auto"}, -1)


def test_learn_rate_is_a_number_or_auto(tmp_path: Path) -> None:
    small = backbone(tmp_path / "small", hidden_size=384)
    assert parse_learn_rate("auto", small) == 2e-4
    assert parse_learn_rate("3e-5", small) == 3e-5
    for text in ("fast", "0", "-1", "nan", "2"):
        with pytest.raises(InputError, match=f"learning rate {text} is neither auto nor a number"):
            parse_learn_rate(text, small)
