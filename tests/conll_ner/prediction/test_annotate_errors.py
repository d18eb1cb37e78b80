"""Annotating Parquet: one line for invalid input, a missing cluster and a failed worker."""

import socket
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import spacy

from conll_ner.common.console import InputError
from conll_ner.prediction import annotate
from conll_ner.prediction.cluster import driver
from tests.annotate_helpers import run, write


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "in.parquet", "out"], "nowhere is not a pipeline"),
        (["blank", "none.parquet", "out"], "none.parquet: no such file or folder"),
        (["blank", "empty", "out"], "empty contains no file that ends in .parquet"),
        (["blank", "in.txt", "out"], "in.txt is not a complete Parquet file"),
        (
            ["blank", "names.parquet", "out"],
            "names.parquet is not a complete Parquet file: 'utf-8'",
        ),
        (["blank", "nocloud://in", "out"], "nocloud://in can't be reached"),
        (["blank", "in.parquet", "full"], "full exists and isn't an empty folder"),
        (["blank", "in.parquet", "in.parquet"], "in.parquet is also an input"),
        (["blank", "in.parquet", "out", "--text-field", "x"], 'no column "x"; its columns are'),
        (["blank", "in.parquet", "out", "--text-field", "id"], '"id" is of type int64, not string'),
        (["blank", "done.parquet", "out"], 'done.parquet already has a column "mentions"'),
        (["blank", "in.parquet", "out", "--threshold", "0.5"], "blank has no confidence scores"),
        (["blank", "in.parquet", "out", "--labels", "PER"], "blank has no label PER"),
    ],
)
def test_annotate_reports_invalid_input_in_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors are reported before a cluster starts."""

    def no_cluster(*_: Any) -> None:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(annotate, "annotate_partitions", no_cluster)
    monkeypatch.chdir(tmp_path)
    spacy.blank("en").to_disk("blank")
    write(Path("in.parquet"), ["Ada"])
    write(Path("full/a.parquet"), ["Ada"])
    Path("in.txt").write_text("Ada")
    names = pyarrow.table({"text": ["Ada"], "né": [1]})
    pyarrow.parquet.write_table(names, "names.parquet", store_schema=False)
    Path("names.parquet").write_bytes(Path("names.parquet").read_bytes().replace(b"\xc3", b"\xff"))
    Path("empty").mkdir()
    done = pyarrow.table({"text": ["Ada"], "mentions": [1]})
    pyarrow.parquet.write_table(done, "done.parquet")
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:{port}", "Connection refused"),
        ("localhost", "invalid literal for int"),
        ("localhost:x", "invalid literal for int"),
        ("localhost:99999", ""),
        ("[::1]:{port}", ""),
    ],
)
@pytest.mark.parametrize("by_variable", [False, True])
def test_annotate_reports_an_unreachable_address_in_one_line(
    address: str,
    words: str,
    by_variable: bool,
    pipeline: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray itself would retry for many minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = address.format(port=free.getsockname()[1])  # bound, but not listening
        if by_variable:
            monkeypatch.setenv("RAY_ADDRESS", address)
        given = "auto" if by_variable else address
        result = run(pipeline, source, source.with_name("out"), "--address", given)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: --address {address}: can't connect (")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not source.with_name("out.partial").exists()


def test_annotate_reports_missing_ray_in_one_line(
    pipeline: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run(pipeline, source, source.with_name("out"))
    assert result.exit_code == 1
    assert result.stderr == 'Error: ray is not installed: pip install "conll-ner[cluster]"\n'


def test_annotate_reports_in_one_line_that_ray_cannot_start(
    pipeline: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_RUNTIME_ENV_HOOK", "nowhere.hook")  # ray.init imports it
    result = run(pipeline, source, source.with_name("out"))
    assert result.exit_code == 1
    assert result.stderr == "Error: Ray can't start: No module named 'nowhere'\n"


@pytest.mark.usefixtures("no_cluster")
def test_annotate_reports_a_damaged_file_in_one_line(pipeline: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", ["Ada"] * 60, use_dictionary=False)
    start = pyarrow.parquet.read_metadata(source).row_group(0).column(1).data_page_offset
    data = bytearray(source.read_bytes())
    data[start : start + 20] = b"\xff" * 20
    source.write_bytes(data)
    result = run(pipeline, source, tmp_path / "out")
    assert result.exit_code == 1
    assert "in.parquet: rows 1 to 30 can't be read (" in result.stderr
    assert result.stderr.endswith("continue with --resume\n")
    assert len(result.stderr.splitlines()) == 1


def test_worker_errors_are_explained_by_their_cause() -> None:
    error = RuntimeError("wrapped\ntraceback")
    error.__cause__ = InputError("the weights are broken")
    assert driver.explain_failure(error) == "the weights are broken"
    error.__cause__ = OSError("no space")
    message = driver.explain_failure(error)
    assert message.startswith("the cluster failed (OSError: no space); ")
    assert message.endswith("continue with --resume")
