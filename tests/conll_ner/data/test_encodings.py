"""Files that change while they are read, or that unpack to far more than they have."""

import gzip
import os
from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from conll_ner.data import encodings
from conll_ner.data.encodings import open_text


@pytest.mark.parametrize("name", ["in.txt", "in.txt.gz"])
def test_a_file_that_changes_while_it_is_read_is_an_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"a\n") if name.endswith("gz") else b"a\n")
    with open_text(path, None) as file:
        assert file.read() == "a\n"
    with pytest.raises(InputError, match="changed while it was read"), open_text(path, None):
        path.write_bytes(path.read_bytes() * 2)


def test_a_pipe_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    if not os.fork():
        path.write_text("a\n" * 100_000)
        os._exit(0)
    with open_text(path, None) as file:
        assert file.read() == "a\n" * 100_000
    os.wait()


def test_reading_of_a_compressed_bomb_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "MAX_UNPACKED", 1000)
    path = tmp_path / "in.txt.gz"
    path.write_bytes(gzip.compress(b"a" * 1_000_000))
    with (
        pytest.raises(InputError, match=r"in\.txt\.gz unpacks to more than 10\d,\d00 bytes"),
        open_text(path, None) as file,
    ):
        file.read()
    path.write_bytes(gzip.compress(b"a" * 900))
    with open_text(path, None) as file:
        assert len(file.read()) == 900
