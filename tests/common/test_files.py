"""Atomic writes and hashes of files."""

from pathlib import Path

import pytest

from common.files import atomic_write, sha256


def test_atomic_write_replaces_a_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    for text in ("old", "new"):
        with atomic_write(target) as temporary:
            temporary.write_text(text)
        assert target.read_text() == text
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_atomic_write_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for name in ("old", "new"):
        with atomic_write(target) as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_atomic_write_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(OSError, match="No space left"), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_sha256_matches_the_published_test_vector(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
