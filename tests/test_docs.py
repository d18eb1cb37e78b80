"""docs/use.md and README: each code block runs, in order, in a copy of the project."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLE
from test_project import copy_project, run

BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OVERRIDES = (
    "--vars.corpus sample --vars.backbone minilm --vars.epochs 1 --vars.eval_frequency 80 "
    "--vars.device cpu --vars.learn_rate 5e-4"
)


def blocks(path: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after `all` on the sample corpus, its wheel unpacked, and files of one's own."""
    folder = tmp_path_factory.mktemp("docs")
    copy_project(folder)
    result = run(folder, "all", ".", WEASEL_CONFIG_OVERRIDES=OVERRIDES)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = folder.glob("packages/*/dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "mine").mkdir()
    for split in ("train", "valid"):
        text = (SAMPLE / f"{split}.txt").read_text(encoding="utf-8")
        renamed = re.sub(r"\b([BI])-PER\b", r"\1-HUMAN", text)
        (folder / "mine" / f"{split}.txt").write_text(renamed, encoding="utf-8")
    return folder


def execute(project: Path, command: list[str]) -> str:
    environment = os.environ | {
        "PYTHONPATH": str(project / "site"),
        "WEASEL_CONFIG_OVERRIDES": OVERRIDES,
        "BACKBONE": str(project / "assets" / "backbone"),
        "HF_HUB_OFFLINE": "1",
    }
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
def test_use_every_block_runs(project: Path) -> None:
    """Python blocks go on from those before; a block of bash sees the files that they wrote."""
    found = blocks(ROOT / "docs" / "use.md")
    assert len(found) > 12
    so_far = ""
    printed = ""
    for i, (language, code) in enumerate(found):
        if language == "bash":
            printed += execute(project, ["bash", "-e", "-c", code])
            continue
        so_far += code
        if i + 1 == len(found) or found[i + 1][0] == "bash":
            printed += execute(project, [sys.executable, "-c", so_far])
    assert '{"documents":[{"mentions":[' in printed
    assert "| 3 seeds | test |" in printed
    assert (project / "mentions.parquet").is_file()
    assert (project / "training" / "mine" / "model-best").is_dir()


@pytest.mark.slow
def test_readme_python_runs(project: Path) -> None:
    code = [code for language, code in blocks(ROOT / "README.md") if language == "python"]
    assert code
    for block in code:
        printed = execute(project, [sys.executable, "-c", block])
        assert re.search(r"^\w.* (PER|LOC|ORG|MISC) \d+ \d+ 0\.\d+$", printed, re.MULTILINE)
