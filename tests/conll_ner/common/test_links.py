"""A link in a stranger's folder doesn't bring in a file from elsewhere."""

import shutil
from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from conll_ner.common.links import check_inside
from conll_ner.data.fetching.corpora import fetch_corpus
from conll_ner.prediction.records import list_files
from tests.conll_ner.data.formats.readers.test_webanno import tsv
from tests.conll_ner.data.formats.support import TEXT, read

WORDS = "is a link out of .*; put a copy of its file there"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_links_within_the_folder_are_followed(folder: Path, secret: Path) -> None:
    shutil.move(secret, folder / "text")
    (folder / "a.txt").symlink_to("text")
    (folder / "a.ann").write_text("T1\tPER 0 3\tAda\n")
    _, (doc,), _ = read(folder)
    assert doc.text == TEXT
    assert check_inside([folder / "text", folder / "a.txt"], folder)[0].name == "a.txt"


@pytest.mark.parametrize("named", ["folder", "file"])
def test_brat_texts_are_in_the_folder(folder: Path, secret: Path, named: str) -> None:
    (folder / "a.ann").write_text("T1\tPER 0 3\tAda\n")
    (folder / "a.txt").symlink_to(secret)
    with pytest.raises(InputError, match=f"a.txt {WORDS}"):
        read(folder if named == "folder" else folder / "a.ann")


def test_webanno_files_are_in_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "a.tsv").symlink_to(tsv(tmp_path, "1-1\t0-3\tAda\t*\tPER\t\n"))
    with pytest.raises(InputError, match=f"a.tsv {WORDS}"):
        read(folder)


def test_texts_to_annotate_are_in_the_folder(folder: Path, secret: Path) -> None:
    (folder / "a.txt").symlink_to(secret)
    with pytest.raises(InputError, match=f"a.txt {WORDS}"):
        list_files(folder, None)


def test_loops_are_no_files(folder: Path) -> None:
    (folder / "a.txt").symlink_to("a.txt")
    with pytest.raises(InputError, match="contains no file that ends in"):
        list_files(folder, None)


def test_fetch_copies_nothing_from_elsewhere(folder: Path, secret: Path, tmp_path: Path) -> None:
    for split in ("train", "dev"):
        (folder / split).mkdir()
        (folder / split / "a.ann").write_text("T1\tPER 0 3\tAda\n")
        (folder / split / "a.txt").write_text(TEXT)
    fetch_corpus("mine", tmp_path / "first", folder)
    (folder / "train" / "b").symlink_to(secret.parent, target_is_directory=True)
    with pytest.raises(InputError, match=f"b {WORDS}"):
        fetch_corpus("mine", tmp_path / "second", folder)
    assert (tmp_path / "first" / "train" / "a.txt").read_text() == TEXT
    assert not (tmp_path / "second").exists()
