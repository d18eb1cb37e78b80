"""The component `token_ner`: settings, labels and weights that don't fit together are refused when
they are loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
from spacy.language import Language

from tests.conftest import ROOT
from tests.token_ner.support import build
from token_ner import Calibration, TokenNER

KEPT = ROOT / "tests" / "data" / "pipeline"
LABELS = ["LOC", "MISC", "ORG", "PER"]
PLATT = Calibration(1.0, 0.0).to_settings()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline that the project keeps, whose model knows the names of its columns."""
    folder = tmp_path_factory.mktemp("saved")
    nlp = spacy.load(KEPT)
    head_of(nlp).set_columns()
    nlp.to_disk(folder)
    return folder


def head_of(nlp: Language) -> TokenNER:
    head = nlp.get_pipe("token_ner")
    assert isinstance(head, TokenNER)
    return head


def with_cfg(saved: Path, folder: Path, **changes: Any) -> Path:
    """RETURNS (Path): The saved component with other settings."""
    shutil.copytree(saved / "token_ner", folder / "token_ner")
    cfg = srsly.read_json(saved / "token_ner" / "cfg")
    text = json.dumps(cfg | changes)
    (folder / "token_ner" / "cfg").write_text(text, encoding="utf-8")
    return folder / "token_ner"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["LOC", "ORG", "ORG"], "different texts"),
        (["LOC", "ORG", ""], "different texts"),
        (["LOC", "ORG", 1], "different texts"),
        ("LOC", "different texts"),
        (None, "different texts"),
        ({"LOC": 1}, "different texts"),
        (["LOC", "ORG", "PER"], "the labels in cfg need 7 columns, and the model has 9"),
        ([*LABELS, "MORE"], "the labels in cfg need 11 columns, and the model has 9"),
        ([], "the labels in cfg need 1 columns, and the model has 9"),
        (LABELS[::-1], "not those that the model was trained with"),
    ],
    ids=str,
)
def test_component_labels_that_are_not_the_models(
    saved: Path, tmp_path: Path, labels: Any, message: str
) -> None:
    nlp = spacy.load(saved, exclude=["transformer"])
    with pytest.raises(ValueError, match=f"^token_ner: .*{message}"):
        head_of(nlp).from_disk(with_cfg(saved, tmp_path, labels=labels), exclude=["vocab"])


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "other"},
        {"scheme": "bilou"},
        {"scheme": ["bio"]},
        {"threshold": "high"},
        {"threshold": 2},
        {"threshold": {"PER": "high"}},
        {"threshold": {"CITY": 0.5}},
        {"candidates": 0.0001},
        {"candidates": {"PER": 2}},
        {"spans_key": 1},
        {"learn_rate_factor": "fast"},
        {"learn_rate_factor": -1},
        {"calibration": "fitted"},
        {"calibration": {}},
        {"calibration": PLATT | {"slope": "1"}},
        {"calibration": PLATT | {"slope": 0}},
        {"calibration": PLATT | {"intercept": None}},
        {"calibration": PLATT | {"seen": "?"}},
        {"calibration": PLATT | {"seen": 3}},
        {"calibration": PLATT | {"more": 3}},
    ],
    ids=str,
)
def test_component_settings_of_another_type_or_range(
    saved: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    nlp = spacy.load(saved, exclude=["transformer"])
    with pytest.raises(ValueError, match=r"^token_ner: "):
        head_of(nlp).from_disk(with_cfg(saved, tmp_path, **changes), exclude=["vocab"])


@pytest.mark.parametrize("key", ["slope", "intercept", "unseen"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_component_calibration_that_is_not_a_number(key: str, value: float) -> None:
    """JSON has none of them, but a program can set them."""
    with pytest.raises(ValueError, match="the saved calibration is not a function"):
        Calibration.from_settings(PLATT | {key: value})


def without_bias(head: TokenNER) -> None:
    output: Any = head.model.get_ref("output")
    output.set_param("b", numpy.zeros(3, dtype="float32"))


def with_fewer_rows(head: TokenNER) -> None:
    output: Any = head.model.get_ref("output")
    output.set_param("W", output.get_param("W")[:5].copy())


@pytest.mark.parametrize("change", [without_bias, with_fewer_rows])
def test_component_weights_of_another_shape(
    saved: Path, tmp_path: Path, change: Callable[[TokenNER], None]
) -> None:
    nlp = spacy.load(saved, exclude=["transformer"])
    change(head_of(nlp))
    nlp.to_disk(tmp_path)
    with pytest.raises(ValueError, match=r"need 9 columns, and the model has \d and 9"):
        spacy.load(tmp_path)


def test_component_from_bytes_is_checked_too(saved: Path) -> None:
    nlp = spacy.load(saved, exclude=["transformer"])
    head = head_of(nlp)
    head.cfg["labels"] = [*LABELS, "MORE"]
    data = head.to_bytes()
    with pytest.raises(ValueError, match="need 11 columns, and the model has 9"):
        head.from_bytes(data)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 2}, "a window of 2 wordpieces has no room"),
        ({"window": 513}, "window is 513 wordpieces, but the model reads 128 at most"),
        ({"window": 10, "context": 4}, "no room for 2 special tokens and 4 wordpieces of context"),
    ],
)
def test_component_windows_are_checked_at_load(
    saved: Path, settings: dict[str, Any], message: str
) -> None:
    config = {f"components.transformer.model.{key}": value for key, value in settings.items()}
    with pytest.raises(ValueError, match=message):
        spacy.load(saved, config=config)


def change_hf(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """RETURNS (bytes): A saved transformer, after a change of what it says about itself."""
    saved = srsly.msgpack_loads(data)
    hf = srsly.msgpack_loads(saved["shims"][0][0])
    change(hf)
    saved["shims"][0][0] = srsly.msgpack_dumps(hf)
    return bytes(srsly.msgpack_dumps(saved))


def test_transformer_with_more_wordpieces_than_rows_is_refused(tiny_backbone: Path) -> None:
    model = build(tiny_backbone)

    def change(hf: dict[str, Any]) -> None:
        tokenizer = hf["tokenizer"]["tokenizer.json"]
        assert b'"##z":' in tokenizer
        hf["tokenizer"]["tokenizer.json"] = tokenizer.replace(b'"##z":', b'"zz":5000,"##z":')

    with pytest.raises(ValueError, match="the saved tokenizer has a wordpiece 5000"):
        model.from_bytes(change_hf(model.to_bytes(), change))


def test_transformer_without_some_weights_is_refused(tiny_backbone: Path) -> None:
    """spacy-transformers goes on with random ones."""
    model = build(tiny_backbone)

    def change(hf: dict[str, Any]) -> None:
        hf["config"]["num_hidden_layers"] += 1

    with pytest.raises(ValueError, match="the saved weights are not those of the saved config"):
        model.from_bytes(change_hf(model.to_bytes(), change))
