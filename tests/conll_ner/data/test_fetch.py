"""Fetching corpora: every source, and every kind of failure."""

import shutil
from pathlib import Path

import datasets
import pytest
from typer.testing import CliRunner, Result

from conll_ner.common.console import InputError
from conll_ner.data import fetch
from conll_ner.data.columns import conll, schemes
from conll_ner.data.fetching import corpora
from tests.conftest import CONLL2003, SAMPLE, SPLITS, TINY
from tests.conll_ner.data.formats.support import read as read_annotated


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


@pytest.mark.slow
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


def test_fetch_any_dataset_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is saved as Parquet with the names of its labels, and `convert` reads it."""
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
        }
    )
    rows = {"tokens": [["Ada", "left"]], "ner_tags": [[1, 0]]}
    dataset = datasets.Dataset.from_dict(rows, features=features)
    hub = {"mine/ner": datasets.DatasetDict({"train": dataset, "validation": dataset})}
    monkeypatch.setattr(datasets, "load_dataset", hub.__getitem__)
    monkeypatch.setattr(corpora, "go_offline_without_hub", lambda: None)
    target = tmp_path / "target"
    assert corpora.fetch_corpus("mine", target, Path("mine/ner")) == "mine/ner on the hub"
    assert corpora.fetch_corpus("mine", target, None) == str(target)
    for split in ("train", "valid"):
        _, (doc,), _ = read_annotated(target / f"{split}.parquet")
        assert [(ent.text, ent.label_) for ent in doc.ents] == [("Ada", "PER")]
    del hub["mine/ner"]["validation"]
    with pytest.raises(InputError, match="mine/ner on the hub: no split valid; it has train"):
        corpora.fetch_corpus("mine", tmp_path / "other", Path("mine/ner"))


def test_fetch_copies_the_names_of_labels(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for split in ("train", "dev"):
        (source / f"{split}.jsonl").write_text('{"tokens": ["Ada"], "ner_tags": [1]}\n')
    (source / "label2id.json").write_text('{"O": 0, "B-PER": 1}')
    corpora.fetch_corpus("mine", tmp_path / "target", source)
    _, (doc,), _ = read_annotated(tmp_path / "target" / "valid.jsonl")
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Ada", "PER")]


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


def test_fetch_sample_is_already_complete() -> None:
    assert corpora.fetch_corpus("sample", SAMPLE, None) == str(SAMPLE)
