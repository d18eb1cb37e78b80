"""README and docs/: every block of bash and Python runs, in order, in a copy of the project."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import httpx
import pyarrow.parquet
import pytest

from benchmarking.service_load import wait_until_listening
from corpus.conll import format_corpus, read_corpus
from tests.conftest import ROOT, SAMPLE, SMALL
from tests.hf_helpers import make_checkpoint
from tests.project_helpers import steps

pytestmark = pytest.mark.slow
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted((ROOT / "docs").glob("*.md"))
# What stands in for a name in capitals, by the command of its line.
PLACEHOLDERS = {
    "scripts/predict.py PIPELINE": {
        "PIPELINE": "en_ner_conll03_trf",
        "INPUT": "mine",
        "OUTPUT": "a.jsonl",
    },
    "scripts/annotate.py PIPELINE": {
        "PIPELINE": "en_ner_conll03_trf",
        "INPUT": "texts.parquet",
        "OUTPUT": "annotated",
    },
    "scripts/hf.py import": {"CHECKPOINT": "training/hf/best", "PIPELINE": "training/imported"},
    "scripts/hf.py export": {"PIPELINE": "training/imported", "CHECKPOINT": "exported"},
    "scripts/hf.py predict": {"CHECKPOINT": "exported"},
    "scripts/evaluate.py PIPELINE": {
        "PIPELINE": "training/token_ner/model-best",
        "FILE …": "mine/valid.txt",
    },
    "scripts/calibrate.py PIPELINE": {
        "PIPELINE": "training/token_ner/model-best",
        "GOLD": "mine/valid.txt",
    },
    "scripts/slim.py PIPELINE": {
        "PIPELINE": "training/token_ner/model-best",
        "SLIM": "training/slim",
        "GOLD": "assets/sample/valid.txt",
    },
    "project run review": {"TEXTS": "mine"},
    "scripts/review.py": {"TEXTS": "mine"},
    "project run teach": {"TEACHER": "training/token_ner/model-best", "TEXTS": "mine"},
    "scripts/compare.py metrics/A.json": {"A.json": "token_ner.json", "B.json": "token_ner.json"},
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


@pytest.fixture
def project(trained: Path, python: Path, tmp_path: Path) -> Path:
    """A copy of the trained project, with its wheel unpacked, and files of one's own."""
    folder = tmp_path / "project"
    shutil.copytree(trained, folder)
    (wheel,) = folder.glob("packages/*/dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(python)
    (folder / "mine").mkdir()
    for split in ("train", "valid"):
        documents = read_corpus(SAMPLE / f"{split}.txt").documents[:12]
        text = format_corpus(documents)
        renamed = re.sub(r"\b([BI])-PER\b", r"\1-HUMAN", text)
        (folder / "mine" / f"{split}.txt").write_text(renamed, encoding="utf-8")
    texts = pyarrow.table({"text": ["Ada Lindqvist left Varnholm."] * 3})
    pyarrow.parquet.write_table(texts, folder / "texts.parquet")
    return folder


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
        "BACKBONE": str(project / "assets" / "backbone"),
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
            real = {"REAL_PYTHON": "1"} if "annotate.py" in code else {}
            printed += execute(project, ["bash", "-e", "-c", code], **variables, **real)
            continue
        so_far += code
        if i + 1 == len(found) or found[i + 1][0] == "bash":
            printed += execute(project, [python, "-c", so_far], **variables)
    return printed


def test_docs_every_placeholder_is_used() -> None:
    used: set[str] = set()
    for path in PAGES:
        for _, code in blocks(path):
            fill_in(code, used)
    assert used == PLACEHOLDERS.keys()


def test_docs_every_page_is_linked_from_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"docs/{path.name})" in readme for path in PAGES)


def test_readme_python_runs(project: Path) -> None:
    printed = run_blocks(project, runnable(ROOT / "README.md"))
    assert re.search(r"^\w.* (PER|LOC|ORG|MISC) \d+ \d+ 0\.\d+$", printed, re.MULTILINE)


def test_use_every_block_runs(project: Path) -> None:
    found = runnable(ROOT / "docs" / "use.md")
    assert len(found) > 14
    printed = run_blocks(project, found)
    assert '{"documents":[{"mentions":[' in printed
    assert (project / "mentions.parquet").is_file()
    assert (project / "training" / "mine" / "model-best").is_dir()
    assert len((project / "a.jsonl").read_text(encoding="utf-8").splitlines()) > 100
    assert len(pyarrow.parquet.read_table(project / "annotated")) == 3


def test_use_serve_runs(project: Path) -> None:
    """Start the service by its line, ask for its page, and stop it as Ctrl-C does."""
    (line,) = (
        code for _, code in blocks(ROOT / "docs" / "use.md") if code.count("project run serve")
    )
    server = subprocess.Popen(
        ["bash", "-e", "-c", line],
        cwd=project,
        env=environment(project) | {"REAL_PYTHON": "1"},
        start_new_session=True,
    )
    try:
        wait_until_listening(server, 8000)
        page = httpx.get("http://127.0.0.1:8000/")
        assert "<h1>Named entities</h1>" in page.text
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(60)


def test_project_every_block_runs(project: Path, tmp_path: Path) -> None:
    """On the sample corpus; `roberta-base` is a folder here, with random weights."""
    make_checkpoint(project / "roberta-base", family="roberta")
    shutil.copytree(SAMPLE, tmp_path / "home" / "conll2003")
    lines = [
        line for _, code in runnable(ROOT / "docs" / "project.md") for line in code.splitlines()
    ]
    assert len(lines) == 4
    for line in lines:
        # A corpus that isn't in assets/ yet is taken from the folder that is named.
        corpus = " --vars.corpus mine" if "corpus_dir" in line else ""
        variables = {"WEASEL_CONFIG_OVERRIDES": SMALL + corpus, "HOME": str(tmp_path / "home")}
        run_blocks(project, [("bash", line)], **variables)
    assert (project / "assets" / "mine" / "train.txt").is_file()
    metrics = json.loads((project / "metrics" / "token_ner.json").read_text(encoding="utf-8"))
    assert metrics["training"]["backbone"]["name"] == "minilm"


def test_evaluation_every_block_runs(project: Path) -> None:
    printed = run_blocks(project, runnable(ROOT / "docs" / "evaluation.md"))
    assert "| token_ner | test |" in printed
    assert (project / "metrics" / "report.html").is_file()
    assert (project / "metrics" / "token_ner" / "training.png").is_file()
    assert json.loads((project / "metrics" / "token_ner.json").read_text())["training"]["seed"] == 0


def test_results_every_block_runs(project: Path) -> None:
    printed = run_blocks(project, runnable(ROOT / "docs" / "results.md"))
    assert "| 3 seeds | test |" in printed


def test_slim_every_block_runs(project: Path) -> None:
    found = runnable(ROOT / "docs" / "slim.md")
    printed = run_blocks(project, [block for block in found if block[0] == "bash"])
    (wheel,) = project.glob("packages/*_slim-*/dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(project / "site")
    printed += run_blocks(project, [block for block in found if block[0] == "python"])
    assert "in int8, without torch" in printed
    assert "en_ner_conll03_slim-0.1.0-py3-none-any.whl: installed and loaded" in printed
    assert re.search(r"\('\w+.*', '(PER|LOC|ORG|MISC)', 0\.\d+\)", printed)


def test_huggingface_every_block_runs(project: Path) -> None:
    # hf_train's own scores are of gold sentences; and of the better of two epochs.
    recipe = f"{SMALL} --vars.sentences gold --vars.epochs 2 --vars.learn_rate 3e-4"
    found = runnable(ROOT / "docs" / "huggingface.md")
    run_blocks(project, found, WEASEL_CONFIG_OVERRIDES=recipe)
    check_recipe(project)
    assert (project / "exported" / "model.safetensors").is_file()
    check_report_of_recipe(project, recipe)
    python = str(project / ".venv" / "bin" / "python")
    evaluated = ["scripts/evaluate.py", "training/imported", "mine/valid.txt", "--device", "cpu"]
    assert "all (conlleval)" in execute(project, [python, *evaluated])
    both = ["metrics/token_ner.json", "metrics/hf.json"]
    assert "difference" in execute(project, [python, "scripts/compare.py", *both])
    assert "| hf | test |" in execute(project, [python, "scripts/report.py", *both])


def check_recipe(project: Path) -> None:
    """The recipe's checkpoint and the pipeline made of it have the same scores."""
    metrics = json.loads((project / "metrics" / "hf.json").read_text(encoding="utf-8"))
    assert metrics["training"]["config"] == "hf"
    log = (project / "training" / "hf" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    best = max(map(json.loads, log), key=lambda row: row["f1"])
    dev = metrics["splits"]["dev"]
    # By wordpiece and argmax the same, but for bfloat16; legal sequences can only be near.
    assert dev["wordpiece"]["f1"] == pytest.approx(best["scores"]["wordpiece_f1"], abs=0.01)
    assert dev["conlleval"]["overall"]["f1"] == pytest.approx(best["f1"], abs=0.1)
    assert (project / "packages" / "en_ner_conll03_trf-0.1.0" / "install.json").is_file()


def check_report_of_recipe(project: Path, overrides: str) -> None:
    """Its scores are there already, and the page draws its log."""
    python = str(project / ".venv" / "bin" / "python")
    command = [python, "-m", "spacy", "project", "run", "report", ".", "--vars.run", "hf"]
    printed = execute(project, command, WEASEL_CONFIG_OVERRIDES=overrides)
    assert steps(printed) == (["robustness", "page"], ["evaluate"])
    assert (project / "metrics" / "report.html").is_file()
    assert (project / "metrics" / "hf" / "training.png").is_file()


def test_fork_server_is_a_python(python: Path, tmp_path: Path) -> None:
    """What stands in for `python` in these tests has its exit codes, streams and arguments."""
    for arguments in (["-c", "import sys; print(sys.argv[1:]); sys.exit(3)", "a b"], ["none.py"]):
        own, real = (
            subprocess.run([exe, *arguments], cwd=tmp_path, capture_output=True, text=True)
            for exe in (str(python), sys.executable)
        )
        assert (own.stdout, bool(own.returncode)) == (real.stdout, bool(real.returncode))
