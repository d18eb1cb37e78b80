"""Functions that run the blocks of README and docs/ in a copy of the trained project."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pyarrow
import pyarrow.parquet

from conll_ner.data.columns.conll import format_corpus, read_corpus
from tests.conftest import SAMPLE, SMALL

BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
N_TEXTS = 120  # in the folder texts/
# What stands in for a name in capitals, by the command of its line.
PLACEHOLDERS = {
    "spacy ner predict PIPELINE": {
        "PIPELINE": "en_ner_conll03_trf",
        "INPUT": "texts",
        "OUTPUT": "a.jsonl",
    },
    "spacy ner annotate PIPELINE": {
        "PIPELINE": "en_ner_conll03_trf",
        "INPUT": "texts.parquet",
        "OUTPUT": "annotated",
    },
    "spacy ner hf-import": {"CHECKPOINT": "training/hf/best", "PIPELINE": "training/imported"},
    "spacy ner hf-export": {"PIPELINE": "training/imported", "CHECKPOINT": "exported"},
    "spacy ner hf-predict": {"CHECKPOINT": "exported"},
    "spacy ner evaluate PIPELINE": {
        "PIPELINE": "training/token_ner/model-best",
        "FILE …": "mine/valid.txt",
    },
    "spacy ner calibrate PIPELINE": {
        "PIPELINE": "training/token_ner/model-best",
        "GOLD": "mine/valid.txt",
    },
    "spacy ner slim PIPELINE": {
        "PIPELINE": "training/token_ner/model-best",
        "SLIM": "training/slim",
        "GOLD": "assets/sample/valid.txt",
    },
    "project run review": {"TEXTS": "texts"},
    "spacy ner review": {"TEXTS": "texts"},
    "project run teach": {"TEACHER": "training/token_ner/model-best", "TEXTS": "texts"},
    "spacy ner compare metrics/A.json": {"A.json": "token_ner.json", "B.json": "token_ner.json"},
}


def blocks(path: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def fill_in(code: str, used: set[str]) -> str:
    """RETURNS (str): The code with the names in capitals replaced."""
    lines = code.splitlines()
    for start, names in PLACEHOLDERS.items():
        for i, line in enumerate(lines):
            if start in line:
                used.add(start)
                for name, value in names.items():
                    assert name in line, f"{name} is not in the line of {start}"
                    line = line.replace(name, value)
                lines[i] = line
    return "\n".join(lines) + "\n"


def runnable(path: Path) -> list[tuple[str, str]]:
    """RETURNS (list[tuple[str, str]]): A page's blocks, without README's two commands, which the
    gate and test_project_runs run, and without `serve`, which doesn't end."""
    left = []
    for language, code in blocks(path):
        if not code.startswith("python3 -m venv") and "project run serve" not in code:
            left.append((language, fill_in(code, set())))
    return left


def add_own_files(project: Path) -> None:
    """Add what the pages take for the reader's: a corpus in mine/, texts in texts/ and
    texts.parquet."""
    (project / "mine").mkdir()
    (project / "texts").mkdir()
    for split in ("train", "valid"):
        documents = read_corpus(SAMPLE / f"{split}.txt").documents[:12]
        text = format_corpus(documents)
        renamed = re.sub(r"\b([BI])-PER\b", r"\1-HUMAN", text)
        (project / "mine" / f"{split}.txt").write_text(renamed, encoding="utf-8")
        sentences = [" ".join(s.words) for document in documents for s in document.sentences]
        lines = "\n".join(sentences[: N_TEXTS // 2])
        (project / "texts" / f"{split}.txt").write_text(lines, encoding="utf-8")
    table = pyarrow.table({"text": ["Ada Lindqvist left Varnholm."] * 3})
    pyarrow.parquet.write_table(table, project / "texts.parquet")


def execute(project: Path, command: list[str], **variables: str) -> str:
    result = subprocess.run(
        command,
        cwd=project,
        env=environment(project) | variables,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


def environment(project: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(project / "site"),
        "WEASEL_CONFIG_OVERRIDES": SMALL,
        "HF_HUB_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
    }


def run_blocks(project: Path, found: Iterable[tuple[str, str]], **variables: str) -> str:
    """Run blocks in order; Python continues the Python blocks before it.

    RETURNS (str): What they printed.
    """
    python = str(project / ".venv" / "bin" / "python")
    found = list(found)
    so_far, printed = "", ""
    for i, (language, code) in enumerate(found):
        if language == "bash":
            # Ray starts processes with options of the interpreter that only the real one has.
            real = {"REAL_PYTHON": "1"} if "annotate" in code else {}
            printed += execute(project, ["bash", "-e", "-c", code], **variables, **real)
            continue
        so_far += code
        if i + 1 == len(found) or found[i + 1][0] == "bash":
            printed += execute(project, [python, "-c", so_far], **variables)
    return printed
