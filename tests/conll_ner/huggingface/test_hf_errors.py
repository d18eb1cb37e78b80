"""Checkpoint import and export: errors for broken or unsupported input, and for a full disk."""

import json
import shutil
from pathlib import Path

import pytest
import spacy
import torch
import transformers
from safetensors.torch import load_file, save_file

from conll_ner.common.files import atomic_write
from conll_ner.huggingface.hf import app
from conll_ner.huggingface.importing import import_checkpoint
from conll_ner.huggingface.loading import check_head
from tests.hf_helpers import NAMES, SIZES, pipe, runner
from tests.stress_helpers import full_disk
from token_ner.torch_model.shim import add_case_embedding


def broken(checkpoint: Path, what: str) -> str:
    """RETURNS (str): The path of the checkpoint, after breaking it in one way."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    weights = load_file(checkpoint / "model.safetensors")
    if what == "no tokenizer":
        for path in checkpoint.glob("*token*"):
            path.unlink()
        (checkpoint / "vocab.txt").unlink()
    elif what == "no weights":
        (checkpoint / "model.safetensors").unlink()
    elif what == "half the weights":
        data = (checkpoint / "model.safetensors").read_bytes()
        (checkpoint / "model.safetensors").write_bytes(data[: len(data) // 2])
    elif what == "no head":
        config["architectures"] = ["BertModel"]
    elif what == "head not saved":
        weights = {name: w for name, w in weights.items() if "classifier" not in name}
        save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    elif what == "another vocabulary":
        config["vocab_size"] = 50
        weights["bert.embeddings.word_embeddings.weight"] = torch.zeros(50, 32)
        save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    elif what == "labels without a scheme":
        config["id2label"] = {i: f"LABEL_{i}" for i in range(len(NAMES))}
    elif what.startswith("a "):
        config["model_type"] = what[2:]
    elif what == "no json":
        (checkpoint / "config.json").write_text("{", encoding="utf-8")
        return str(checkpoint)
    elif what == "no such folder":
        return str(checkpoint / "x" / "y")
    elif what == "an empty folder":
        shutil.rmtree(checkpoint)
        checkpoint.mkdir()
        return str(checkpoint)
    (checkpoint / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(checkpoint)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no tokenizer", "tokenizer"),
        ("no weights", "is not a checkpoint that transformers can load"),
        ("half the weights", "is not a checkpoint that transformers can load"),
        ("no head", "contains BertModel, not a token classifier; train one with"),
        ("head not saved", "weights are missing or have the wrong shape: classifier"),
        ("another vocabulary", "tokenizer has 135 wordpieces, the model 50"),
        ("labels without a scheme", "LABEL_0, LABEL_1"),
        ("a layoutlm", "models of type layoutlm were never tried; those that can be imported are"),
        ("a bloom", "models of type bloom were never tried"),
        ("no json", "is not a checkpoint that transformers can load"),
        ("no such folder", "no such folder"),
        ("an empty folder", "is not a checkpoint that transformers can load"),
    ],
)
def test_import_of_a_broken_checkpoint(
    checkpoint: Path, tmp_path: Path, what: str, message: str
) -> None:
    output = tmp_path / "out"
    result = runner.invoke(app, ["import", broken(checkpoint, what), str(output)])
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not output.exists()


def test_import_rejects_a_head_of_more_than_one_layer() -> None:
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=10, **SIZES)
    model = transformers.BertForTokenClassification(config)
    check_head(model, "plain")
    model.classifier = torch.nn.Sequential(torch.nn.Linear(32, 8), torch.nn.Linear(8, 2))
    with pytest.raises(ValueError, match="not dropout and one linear layer"):
        check_head(model, "deep")
    model = transformers.BertForTokenClassification(config)
    model.crf = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"other modules: .*crf \(Linear\)"):
        check_head(model, "crf")


def test_export_rejects_what_transformers_does_not_support(
    checkpoint: Path, tmp_path: Path
) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    nlp = import_checkpoint(str(checkpoint))
    add_case_embedding(pipe(nlp, "transformer").model.shims[0]._model)
    nlp.to_disk(tmp_path / "case")
    for pipeline, message in [
        ("blank", "has 0 token_ner components; a pipeline to export has one"),
        ("case", "has a letter-case embedding"),
        ("nothing", "is not a pipeline"),
    ]:
        arguments = ["export", str(tmp_path / pipeline), str(tmp_path / "out")]
        result = runner.invoke(app, arguments)
        assert result.exit_code == 1
        assert message in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["import", "export"])
def test_a_full_disk_keeps_the_previous_output(
    checkpoint: Path, tmp_path: Path, command: str
) -> None:
    import_checkpoint(str(checkpoint)).to_disk(tmp_path / "pipeline")
    source = checkpoint if command == "import" else tmp_path / "pipeline"
    output = tmp_path / "out"
    with atomic_write(output) as folder:
        folder.mkdir()
        (folder / "old").write_text("old", encoding="utf-8")
    with full_disk():
        result = runner.invoke(app, [command, str(source), str(output)])
    assert result.exit_code == 1, result.stderr
    assert f"{output} can't be written" in result.stderr
    assert (output / "old").read_text(encoding="utf-8") == "old"
    assert not list(tmp_path.glob(".out*"))
