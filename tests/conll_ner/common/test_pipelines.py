"""Damaged pipelines end in one line that names the file, for all commands."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import spacy

from conll_ner.common.console import InputError
from conll_ner.common.pipelines import load_pipeline, mention_labels
from tests.conftest import ROOT

KEPT = ROOT / "tests" / "data" / "pipeline"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(KEPT, tmp_path / "pipeline")


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "half": data[: len(data) // 2], "garbage": b"\xc1{"}[how])


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("config.cfg", "empty"),
        ("config.cfg", "half"),
        ("config.cfg", "garbage"),
        ("config.cfg", "missing"),
        ("meta.json", "empty"),
        ("meta.json", "half"),
        ("meta.json", "missing"),
        ("token_ner/cfg", "half"),
        ("token_ner/cfg", "garbage"),
        ("token_ner/model", "empty"),
        ("token_ner/model", "half"),
        ("token_ner/model", "missing"),
        ("transformer/model", "half"),
        ("transformer/model", "missing"),
        ("tokenizer", "empty"),
        ("tokenizer", "garbage"),
        ("vocab/strings.json", "half"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, name: str, how: str) -> None:
    damage(folder / name, how)
    with pytest.raises(InputError) as error:
        load_pipeline(str(folder))
    message = str(error.value)
    assert f"{folder / name}" in message
    assert len(message.splitlines()) == 1


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('factory = "token_ner"', 'factory = "other"', "Can't find factory for 'other'"),
        ("conll_ner.TokenClassifier.v1", "other.v1", "other.v1"),
        ('lang = "xx"', 'lang = "zz"', "zz"),
        ("batch_size = ", "batch_size = no", "batch_size"),
    ],
)
def test_a_config_with_something_unknown_is_one_line(
    folder: Path, old: str, new: str, message: str
) -> None:
    replace(folder / "config.cfg", old, new)
    with pytest.raises(InputError) as error:
        load_pipeline(str(folder))
    assert str(folder) in str(error.value)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_pipeline_that_fails_at_its_first_text_is_one_line(folder: Path) -> None:
    nlp = spacy.load(folder)
    head: Any = nlp.get_pipe("token_ner")
    head.model.get_ref("output").get_param("b")[:] = float("nan")
    nlp.to_disk(folder)
    with pytest.raises(InputError, match="logits are not finite") as error:
        load_pipeline(str(folder))
    assert len(str(error.value).splitlines()) == 1


def test_a_setting_that_only_batches_use_is_tried(folder: Path) -> None:
    (folder / "transformer" / "cfg").write_text('{"max_batch_items": null}', encoding="utf-8")
    with pytest.raises(InputError, match="TypeError"):
        load_pipeline(str(folder))


def test_the_first_text_leaves_no_words_behind(folder: Path) -> None:
    assert len(load_pipeline(str(folder)).vocab.strings) == len(spacy.load(folder).vocab.strings)


def test_a_package_that_is_missing_stays_an_import_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command then says which extra has it."""

    def load(_: str) -> None:
        raise ImportError("no", name="onnxruntime")

    monkeypatch.setattr(spacy, "load", load)
    with pytest.raises(ImportError, match="no"):
        load_pipeline(str(folder))


def test_mention_labels_are_not_other_labels() -> None:
    nlp = spacy.blank("en")
    for name, label in (("first", "PER"), ("second", "LOC")):
        ruler: Any = nlp.add_pipe("entity_ruler", name)
        ruler.add_patterns([{"label": label, "pattern": "Ada"}])
    tagger: Any = nlp.add_pipe("tagger")
    tagger.add_label("NN")
    assert mention_labels(nlp) == ["LOC", "PER"]
