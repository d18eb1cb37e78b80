"""What predict refuses so that nothing is overwritten, mixed or left running."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conll_ner.common.files import lock
from conll_ner.prediction.parts import fingerprint_run
from tests.conll_ner.prediction.test_predict import PREDICT, read, run


def test_predict_rejects_fields_that_it_would_overwrite(pipeline: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [{"body": "Ada left", "text": "mine"}, {"body": "Ada", "mentions": 1}, {"body": "Ada"}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = run(pipeline, source, "-o", output, "--text-field", "body")
    assert result.exit_code == 3
    assert [row["text"] for row in read(output)] == ["Ada"]
    reasons = [row["reason"] for row in read(tmp_path / "out.jsonl.rejects.jsonl")]
    assert reasons == [
        f"the output would overwrite the field {name}; rename it" for name in ("text", "mentions")
    ]


def test_predict_refuses_two_columns_of_one_name(pipeline: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text,id,id\nAda,1,2\n", encoding="utf-8")
    result = run(pipeline, source, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "several columns are named id; rename them" in result.stderr


def test_predict_refuses_an_output_in_its_input_folder(pipeline: Path, tmp_path: Path) -> None:
    """It would read its own parts and output, now or when it is resumed."""
    (tmp_path / "in.txt").write_text("Ada", encoding="utf-8")
    for output in (tmp_path / "out.jsonl", tmp_path / "deep" / "out.jsonl"):
        result = run(pipeline, tmp_path, "-o", output)
        assert result.exit_code == 1
        assert "is in the input" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


def test_predict_refuses_a_folder_as_output(pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Ada", encoding="utf-8")
    (tmp_path / "out.jsonl").mkdir()
    result = run(pipeline, tmp_path / "in.txt", "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "is a folder, and the output is a file" in result.stderr


def test_predict_refuses_an_output_that_another_run_writes(pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Ada", encoding="utf-8")
    with lock(tmp_path / "out.jsonl"):
        result = run(pipeline, tmp_path / "in.txt", "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "out.jsonl is being written by another run" in result.stderr
    assert run(pipeline, tmp_path / "in.txt", "-o", tmp_path / "out.jsonl").exit_code == 0


def test_a_run_is_not_resumed_with_another_version_of_a_package(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package is named, not its folder: its files are compared."""
    package = tmp_path / "en_upgraded"
    shutil.copytree(pipeline, package / "en_upgraded-0.1.0")
    (package / "__init__.py").touch()
    info = tmp_path / "en_upgraded-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: en_upgraded\nVersion: 0.1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = fingerprint_run("en_upgraded", [], {})
    assert before == fingerprint_run("en_upgraded", [], {})
    assert len(before["files"]) > 3
    weights = package / "en_upgraded-0.1.0" / "transformer" / "model"
    weights.write_bytes(weights.read_bytes()[::-1])
    assert before != fingerprint_run("en_upgraded", [], {})


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("moment", ["start", "work"])
def test_workers_end_with_a_run_that_is_killed(pipeline: Path, tmp_path: Path, moment: str) -> None:
    """Also if it is killed before they know its process id from the system."""
    source = tmp_path / "in.txt"
    source.write_text("Ada Lindqvist left Varnholm.\n" * 200_000, encoding="utf-8")
    command = [sys.executable, *PREDICT, str(pipeline), str(source), "--device", "cpu"]
    command += ["-o", str(tmp_path / "out.jsonl"), "--processes", "2"]
    with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        while (
            not list(tmp_path.glob("out.jsonl.partial/00*.json"))
            if moment == "work"
            else len(children(process.pid)) < 3  # two workers, and multiprocessing's tracker
        ):
            assert process.poll() is None
            time.sleep(0.05)
        workers = children(process.pid)
        assert len(workers) >= 2
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 60  # a worker starts by importing for some seconds
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < end, "workers go on"
        time.sleep(0.1)
