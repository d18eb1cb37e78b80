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

import pytest

from tests.conftest import SAMPLE

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


@pytest.mark.parametrize("name", ["convert", "evaluate", "predict", "hf-export"])
def test_another_user_gets_the_output_or_one_line(
    folders: tuple[Path, Path], pipeline: Path, name: str, record: Callable[[str, str, str], None]
) -> None:
    own, closed = folders
    source = own.parent / "in.txt"
    source.write_text("Ada left Varnholm.\n", encoding="utf-8")

    def command(folder: Path) -> list[object]:
        commands: dict[str, list[object]] = {
            "convert": [SAMPLE / "valid.txt", folder / "out.spacy"],
            "evaluate": [pipeline, SAMPLE / "valid.txt", "--output", folder / "out.json"],
            "predict": [pipeline, source, "-o", folder / "out.jsonl"],
            "hf-export": [pipeline, folder / "out"],
        }
        return ["-m", "spacy", "ner", name, *commands[name]]

    result = run_as_user(*command(own))
    assert result.returncode == 0, result.stderr
    assert [path.name.partition(".")[0] for path in own.iterdir()] == ["out"]
    assert next(own.iterdir()).stat().st_uid == (USER if os.getuid() == 0 else os.getuid())
    result = run_as_user(*command(closed))
    assert result.returncode == 1
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    assert "Permission denied" in line
    assert str(closed) in line
    assert "Traceback" not in result.stderr
    assert [path.name for path in closed.iterdir()] == ["notes.txt"]
    record(f"{name} as another user", "2 runs", "written, or one line in a read-only folder")
