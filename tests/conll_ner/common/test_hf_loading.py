"""What transformers saved is loaded in float32, and no code is run."""

import json
from pathlib import Path

import pytest
import torch
import transformers

from conll_ner.common.console import InputError
from conll_ner.common.hf_loading import load_model
from conll_ner.data.fetching.backbones import fetch_backbone
from conll_ner.huggingface.loading import load_checkpoint
from tests.hf_helpers import make_checkpoint
from tests.token_ner.support import build

KERNEL = "stranger/attention:forward"


@pytest.fixture(params=[torch.float16, torch.bfloat16], ids=str)
def half(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """RETURNS (Path): A checkpoint in half precision, as large models are published."""
    folder = make_checkpoint(tmp_path / "half")
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    model.to(request.param).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    assert request.param == getattr(torch, config.get("dtype") or config["torch_dtype"])
    return folder


def test_half_precision_is_loaded_in_float32(half: Path, tmp_path: Path) -> None:
    """Trained in half, weights would stop changing: transformers 5 keeps the saved precision."""
    models = [
        load_checkpoint(str(half)),
        load_model(transformers.AutoModel, half),
        build(half).shims[0]._model,
    ]
    fetch_backbone(str(half), tmp_path / "fetched", tmp_path)
    models.append(transformers.AutoModel.from_pretrained(tmp_path / "fetched"))
    for model in models:
        assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", ["_attn_implementation_internal", "attn_implementation"])
def test_attention_from_a_repository_is_refused(tmp_path: Path, name: str, nested: bool) -> None:
    """CVE-2026-4372: transformers before 5.3 runs it where the package kernels is installed."""
    folder = make_checkpoint(tmp_path / "checkpoint")
    config = json.loads((folder / "config.json").read_text())
    config |= {"text_config": {name: KERNEL}} if nested else {name: KERNEL}
    (folder / "config.json").write_text(json.dumps(config))
    reason = f"config.json: {name} = {KERNEL} would download and run code"
    with pytest.raises(InputError, match=reason):
        load_checkpoint(str(folder))
    with pytest.raises(InputError, match=reason):
        fetch_backbone(str(folder), tmp_path / "fetched", tmp_path)
    with pytest.raises(ValueError, match=reason):
        build(folder)
    assert not (tmp_path / "fetched").exists()


def test_plain_attention_is_loaded(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"_attn_implementation": "eager"}))
    load_checkpoint(str(folder))
