"""Commands as another user than the one who installed them: without a home, and where they may not
write."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from spacy.vocab import Vocab

from conll_ner.data.docs import read_gold, write_docs
from conll_ner.evaluation import evaluate
from tests.conftest import ROOT, SAMPLE

pytestmark = pytest.mark.stress
USER = 65534  # nobody
# Without root's right to write everywhere. It may still read the installation, wherever it is.
READ = "+dac_read_search"
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
AS_USER += [f"--inh-caps={READ}", f"--ambient-caps={READ}"]


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    """A folder that the user may write to, and one that the user may not."""
    parent = Path(tempfile.mkdtemp())  # not tmp_path, which others can't enter
    parent.chmod(0o755)
    own, closed = parent / "own", parent / "closed"
    own.mkdir()
    closed.mkdir()
    (closed / "notes.txt").write_text("somebody's work", encoding="utf-8")
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is missing")
        os.chown(own, USER, USER)
    closed.chmod(0o555)
    yield own, closed
    closed.chmod(stat.S_IRWXU)
    shutil.rmtree(parent)


def run_as_user(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*(AS_USER if os.getuid() == 0 else []), sys.executable, *map(str, arguments)]
    environment = os.environ | {"HOME": "/nonexistent"}
    environment.pop("HF_HOME", None)
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture
def inputs(folders: tuple[Path, Path], pipeline: Path) -> Path:
    """A folder that the user may read: a pipeline, its metrics, a corpus and texts."""
    folder = folders[0].parent / "inputs"
    shutil.copytree(pipeline, folder / "model")
    (folder / "in.txt").write_text("Ada left Varnholm.\n" * 50, encoding="utf-8")
    write_docs(read_gold(SAMPLE / "valid.txt", Vocab()), folder / "gold.spacy")
    evaluate.main(str(pipeline), [folder / "gold.spacy"], folder / "metrics.json", device="cpu")
    return folder


def list_arguments(name: str, backbone: Path, inputs: Path, folder: Path) -> Any:
    """RETURNS (list[object]): The arguments of a command that writes `out` into a folder."""
    pipeline = inputs / "model"
    gold, out = inputs / "gold.spacy", folder / "out"
    paths = ("--paths.train", gold, "--paths.dev", gold, "--paths.backbone", backbone)
    settings = (*paths, "--training.max_epochs", 1, "--device", "cpu")
    config = ROOT / "configs" / "token_ner.cfg"
    return {
        "convert": [SAMPLE / "valid.txt", folder / "out.spacy"],
        "curve": [config, out, folder / "out.json", "--shares", 100, *settings],
        "evaluate": [pipeline, SAMPLE / "valid.txt", "--output", folder / "out.json"],
        "fetch": ["corpus", "mine", out, "--source", SAMPLE],
        "hf-export": [pipeline, out],
        "package": [pipeline, inputs / "metrics.json", out],
        "predict": [pipeline, inputs / "in.txt", "-o", folder / "out.jsonl"],
        "review": [pipeline, inputs / "in.txt", folder / "out.jsonl"],
        "slim": [pipeline, out],
        "teach": [pipeline, inputs / "in.txt", folder / "out.spacy"],
        "train": [config, out, *settings],
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        *("convert", "curve", "evaluate", "fetch", "hf-export", "package", "predict", "review"),
        *("slim", "teach", "train"),
    ],
)
def test_another_user_gets_the_output_or_one_line(
    folders: tuple[Path, Path],
    inputs: Path,
    tiny_backbone: Path,
    name: str,
    record: Callable[[str, str, str], None],
) -> None:
    own, closed = folders

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        arguments = list_arguments(name, tiny_backbone, inputs, folder)
        return run_as_user("-m", "spacy", "ner", name, *arguments)

    result = run(own)
    assert result.returncode == 0, result.stderr
    assert {path.name.partition(".")[0] for path in own.iterdir()} == {"out"}
    assert next(own.iterdir()).stat().st_uid == (USER if os.getuid() == 0 else os.getuid())
    result = run(closed)
    assert result.returncode == 1
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    assert "Permission denied" in line
    assert str(closed) in line
    assert "Traceback" not in result.stderr
    assert [path.name for path in closed.iterdir()] == ["notes.txt"]
    record(f"{name} as another user", "2 runs", "written, or one line in a read-only folder")
