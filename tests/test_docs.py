"""docs/use.md and README: each code block runs, in order, in a copy of the project."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pyarrow.parquet
import pytest

from benchmarking.service_load import wait_until_taken
from tests.conftest import ROOT, SAMPLE
from tests.test_hf import make_checkpoint
from tests.test_project import SMALL, steps

BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What stands in README for a name of the reader's, by the line that it is in.
PLACEHOLDERS = {
    "scripts/predict.py": {"PIPELINE": "en_ner_conll03_trf", "INPUT": "mine", "OUTPUT": "a.jsonl"},
    "scripts/annotate.py": {
        "PIPELINE": "en_ner_conll03_trf",
        "INPUT": "texts.parquet",
        "OUTPUT": "annotated",
    },
    "scripts/benchmark_serve.py": {
        "PIPELINE": "en_ner_conll03_trf",
        "INPUT": "mine/valid.txt --seconds 1 --rounds 1",
    },
    "scripts/hf.py import": {"CHECKPOINT": "training/hf/best", "PIPELINE": "training/imported"},
    "scripts/hf.py export": {"PIPELINE": "training/imported", "CHECKPOINT": "exported"},
    "scripts/hf.py predict": {"CHECKPOINT": "exported"},
    "scripts/evaluate.py": {"PIPELINE": "training/imported", "FILE …": "mine/valid.txt"},
    "scripts/compare.py": {"A.json": "token_ner.json", "B.json": "hf.json"},
}


def blocks(path: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained project, with its wheel unpacked, and files of one's own."""
    folder = tmp_path / "project"
    shutil.copytree(trained, folder)
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


def environment(project: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(project / "site"),
        "WEASEL_CONFIG_OVERRIDES": SMALL,
        "BACKBONE": str(project / "assets" / "backbone"),
        "HF_HUB_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
    }


def execute(project: Path, command: list[str], **variables: str) -> str:
    result = subprocess.run(
        command,
        cwd=project,
        env=environment(project) | variables,
        capture_output=True,
        text=True,
        timeout=600,
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


def readme_commands() -> list[str]:
    """README's lines of bash but its two commands, which CI and test_project run; placeholders
    filled in."""
    lines = [
        line
        for language, code in blocks(ROOT / "README.md")
        for line in code.splitlines()
        if language == "bash" and not line.startswith("python3 -m venv")
    ]
    for start, names in PLACEHOLDERS.items():
        (i,) = (i for i, line in enumerate(lines) if f"{start} " in line)
        for name, value in names.items():
            assert name in lines[i], f"{name} is not in README's line of {start}"
            lines[i] = lines[i].replace(name, value)
    return lines


@pytest.mark.slow
def test_readme_every_command_runs(project: Path, tmp_path: Path) -> None:
    """On the sample corpus; `roberta-base` is a folder here, with random weights."""
    make_checkpoint(project / "roberta-base", family="roberta")
    texts = pyarrow.table({"text": ["Ada Lindqvist left Varnholm."] * 3})
    pyarrow.parquet.write_table(texts, project / "texts.parquet")
    shutil.copytree(SAMPLE, tmp_path / "home" / "conll2003")
    commands = readme_commands()
    assert len(commands) > 12
    printed = ""
    for line in commands:
        if "project run serve" in line:
            serve_once(project, line)
            continue
        # A corpus that isn't in assets/ yet is taken from the folder that is named.
        corpus = " --vars.corpus mine" if "corpus_dir" in line else ""
        # hf_train's own scores are of gold sentences; and of the better of two epochs.
        recipe = " --vars.sentences gold --vars.epochs 2 --vars.learn_rate 3e-4"
        recipe = recipe if "all-hf" in line else ""
        variables = {"WEASEL_CONFIG_OVERRIDES": SMALL + corpus + recipe}
        variables |= {"HOME": str(tmp_path / "home")}
        printed += execute(project, ["bash", "-e", "-c", line], **variables)
        if "all-hf" in line:
            check_recipe(project)
            check_report_of_recipe(project, **variables)
    assert (project / "assets" / "mine" / "train.txt").is_file()
    assert len((project / "a.jsonl").read_text(encoding="utf-8").splitlines()) > 100
    assert len(pyarrow.parquet.read_table(project / "annotated")) == 3
    assert (project / "exported" / "model.safetensors").is_file()
    assert (project / "metrics" / "report.html").is_file()
    assert (project / "metrics" / "token_ner" / "training.png").is_file()
    assert "| hf | test |" in printed


def check_recipe(project: Path) -> None:
    """The well-known recipe's checkpoint and the pipeline of it have the same scores."""
    metrics = json.loads((project / "metrics" / "hf.json").read_text(encoding="utf-8"))
    assert metrics["training"]["config"] == "hf"
    log = (project / "training" / "hf" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    best = max(map(json.loads, log), key=lambda row: row["word_f1"])
    dev = metrics["splits"]["dev"]
    # By wordpiece and argmax the same, but for bfloat16; legal sequences can only be near.
    assert dev["wordpiece"]["f1"] == pytest.approx(best["wordpiece_f1"], abs=0.01)
    assert dev["conlleval"]["overall"]["f1"] == pytest.approx(best["word_f1"], abs=0.1)
    assert (project / "packages" / "en_ner_conll03_trf-0.1.0" / "install.json").is_file()


def check_report_of_recipe(project: Path, **variables: str) -> None:
    """Its scores are there already, and its log is one that the page can draw."""
    command = [sys.executable, "-m", "spacy", "project", "run", "report", ".", "--vars.run", "hf"]
    printed = execute(project, command, **variables)
    assert steps(printed) == (["robustness", "page"], ["evaluate"])
    assert (project / "metrics" / "report.html").is_file()
    assert (project / "metrics" / "hf" / "training.png").is_file()
    (project / "metrics" / "report.html").unlink()  # for README's own report to make


def serve_once(project: Path, line: str) -> None:
    """Start the service by README's line, ask for its page, and stop it as Ctrl-C does."""
    server = subprocess.Popen(
        ["bash", "-e", "-c", line], cwd=project, env=environment(project), start_new_session=True
    )
    try:
        wait_until_taken(server, 8000)
        page = httpx.get("http://127.0.0.1:8000/")
        assert "<h1>Named entities</h1>" in page.text
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(60)
