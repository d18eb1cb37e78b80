"""Models from strangers run no code of their own and write nowhere else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from typer.testing import CliRunner

from conll_ner.huggingface.exporting import export_pipeline
from conll_ner.huggingface.hf import app
from conll_ner.huggingface.importing import import_checkpoint
from tests.conftest import ROOT
from token_ner.untrusted import check_saved, refuse_code

PIPELINE = ROOT / "tests" / "data" / "pipeline"
# A tokenizer of the model's own, whose import leaves a mark.
CODE = """
from pathlib import Path
Path({mark!r}).touch()
from transformers import PreTrainedTokenizerFast, PretrainedConfig, PreTrainedModel
class Own(PreTrainedTokenizerFast): pass
class OwnConfig(PretrainedConfig): model_type = "own"
class OwnModel(PreTrainedModel): config_class = OwnConfig
"""
Change = Callable[[dict[str, Any], Path], None]


def change_model(folder: Path, change: Change, mark: Path) -> None:
    """Change what a saved pipeline says about its transformer."""
    path = folder / "transformer" / "model"
    saved = srsly.msgpack_loads(path.read_bytes())
    (shims,) = (shims for shims in saved["shims"] if shims)
    hf = srsly.msgpack_loads(shims[0])
    change(hf, mark)
    shims[0] = srsly.msgpack_dumps(hf)
    path.write_bytes(srsly.msgpack_dumps(saved))


def with_own_code(hf: dict[str, Any], mark: Path) -> None:
    tokenizer = hf["tokenizer"]
    tokenizer["kwargs"]["trust_remote_code"] = True
    settings = json.loads(tokenizer["tokenizer_config.json"])
    settings |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": [None, "own.Own"]}}
    tokenizer["tokenizer_config.json"] = json.dumps(settings).encode()
    tokenizer["own.py"] = CODE.format(mark=str(mark)).encode()


def with_auto_map(hf: dict[str, Any], _: Path) -> None:
    hf["config"]["auto_map"] = {"AutoModel": "own.OwnModel"}


def with_kernels(hf: dict[str, Any], _: Path) -> None:
    hf["config"]["_attn_implementation_internal"] = "stranger/attention:forward"


def with_file(name: str) -> Change:
    def change(hf: dict[str, Any], mark: Path) -> None:
        hf["tokenizer"][name.format(mark=mark)] = b"x"

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_own_code, "the saved tokenizer has the settings trust_remote_code"),
        (with_auto_map, "the model's config: auto_map would run code"),
        (with_kernels, "the model's config: _attn_implementation_internal = stranger/attention"),
        (with_file("../../mark"), r"a file '\.\./\.\./mark'"),
        (with_file("{mark}"), "a file '.*mark'"),
        (with_file("..\\mark.json"), "a file "),
        (with_file("own.py"), r"a file 'own\.py'"),
        (with_file("sub/vocab.txt"), "a file 'sub/vocab.txt'"),
    ],
)
def test_a_pipeline_that_would_run_code_or_write_elsewhere_is_refused(
    change: Change, message: str, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    spacy.load(PIPELINE).to_disk(tmp_path / "model")
    change_model(tmp_path / "model", change, mark)
    before = set(tmp_path.parent.rglob("*"))
    with pytest.raises(ValueError, match=message):
        spacy.load(tmp_path / "model")
    assert not mark.exists()
    assert set(tmp_path.parent.rglob("*")) == before


def test_own_code_is_not_run_even_if_the_settings_look_harmless(tmp_path: Path) -> None:
    """transformers itself refuses, and doesn't ask on the terminal."""
    mark = tmp_path / "mark"

    def change(hf: dict[str, Any], mark: Path) -> None:
        with_own_code(hf, mark)
        del hf["tokenizer"]["kwargs"]["trust_remote_code"], hf["tokenizer"]["own.py"]
        hf["tokenizer"]["own.txt"] = CODE.format(mark=str(mark)).encode()

    spacy.load(PIPELINE).to_disk(tmp_path / "model")
    change_model(tmp_path / "model", change, mark)
    try:
        spacy.load(tmp_path / "model")
    except (ValueError, OSError) as error:
        assert "trust_remote_code" in str(error)
    assert not mark.exists()


def test_saved_models_of_this_project_pass() -> None:
    check_saved({"config": {"model_type": "bert"}, "tokenizer": {"kwargs": {"use_fast": True}}})
    check_saved({"config": {}, "tokenizer": {}, "_init_tokenizer_config": {"use_fast": True}})
    refuse_code({"trust_remote_code": False, "auto_map": None}, "x")


def test_a_config_that_trusts_remote_code_is_refused(tiny_backbone: Path) -> None:
    for name in ("tokenizer_config", "transformer_config"):
        model = {"name": str(tiny_backbone), name: {"trust_remote_code": True}}
        architecture = {"@architectures": "conll_ner.WindowedTransformer.v1", **model}
        nlp = spacy.blank("en")
        nlp.add_pipe("transformer", config={"model": architecture})
        with pytest.raises(ValueError, match=f"{name}: trust_remote_code would run code"):
            nlp.initialize()


def test_import_of_a_checkpoint_with_own_code_asks_nothing_and_runs_nothing(
    checkpoint: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    (checkpoint / "own.py").write_text(CODE.format(mark=str(mark)), encoding="utf-8")
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForTokenClassification": "own.OwnModel"}
    config |= {"model_type": "own", "auto_map": code}
    (checkpoint / "config.json").write_text(json.dumps(config), encoding="utf-8")
    result = CliRunner().invoke(
        app, ["import", str(checkpoint), str(tmp_path / "out")], input="yes\n" * 20
    )
    assert result.exit_code == 1
    assert "code that comes with the checkpoint, which is never run" in result.stderr
    assert "[y/N]" not in result.output
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[components.transformer.model.tokenizer_config]",
            "[components.transformer.model.tokenizer_config]\ntrust_remote_code = true",
            "transformer.model.tokenizer_config: trust_remote_code would run code",
        ),
        (
            '@scorers = "spacy.ner_scorer.v1"',
            '@scorers = "spacy.ner_scorer.v1"\npath = "/etc/passwd"',
            "token_ner.scorer.path can't be imported; delete spacy.cfg",
        ),
        (
            '@architectures = "conll_ner.TokenClassifier.v1"',
            '@architectures = "spacy.PyTorchWrapper.v1"',
            "token_ner.model.@architectures can't be imported",
        ),
        ('factory = "token_ner"', 'factory = "other"', "other, "),
        (
            "threshold = null",
            'threshold = {"@misc": "spacy.LowercaseName.v1"}',
            "token_ner.threshold.@misc can't be imported",
        ),
    ],
)
def test_import_reads_only_known_settings_of_a_checkpoints_config(
    old: str, new: str, message: str, checkpoint: Path, tmp_path: Path
) -> None:
    export_pipeline(import_checkpoint(str(checkpoint)), "pipeline", tmp_path / "exported")
    path = tmp_path / "exported" / "spacy.cfg"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    result = CliRunner().invoke(app, ["import", str(path.parent), str(tmp_path / "out")])
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())
    assert len(result.stderr.splitlines()) == 1
    path.unlink()
    result = CliRunner().invoke(app, ["import", str(path.parent), str(tmp_path / "out")])
    assert result.exit_code == 0
