"""The toolkit as users install it: from its wheel, beside the wheel of a slim pipeline, in a venv
that has neither torch nor transformers."""

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
import spacy

from conll_ner.packaging.package import SLIM_REQUIREMENTS
from conll_ner.packaging.wheel import build_wheel
from tests.conftest import ROOT, TINY
from tests.installed import build_project, make_environment
from tests.serve_helpers import wait_for

pytestmark = pytest.mark.slow
NAME = "en_ner_tiny_slim"
REQUIREMENT = "conll-ner[slim,serve]"
TEXTS = ["Ada Lindqvist left Varnholm.", "The Norden Bank fell."]
HIDDEN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in HIDDEN}


@pytest.fixture(scope="module")
def wheels(slim_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """RETURNS (list[Path]): The project's and a slim pipeline's."""
    folder = tmp_path_factory.mktemp("wheels")
    meta = spacy.load(slim_pipeline).meta
    meta |= {"lang": "en", "name": "ner_tiny_slim", "requirements": list(SLIM_REQUIREMENTS)}
    built = build_wheel(slim_pipeline, folder, meta, "# card")
    return [build_project(folder), next((built / "dist").glob("*.whl"))]


@pytest.fixture(scope="module")
def python(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RETURNS (Path): The Python of a venv with both wheels and `conll-ner[slim,serve]`."""
    folder = tmp_path_factory.mktemp("slim") / ".venv"
    return make_environment(folder, wheels, REQUIREMENT)


@pytest.fixture(scope="module")
def folder(slim_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RETURNS (Path): A user's folder, with texts, gold, and a pipeline to calibrate."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    (folder / "gold.txt").write_text(f"{TINY}\n\n{TINY}\n", encoding="utf-8")
    shutil.copytree(slim_pipeline, folder / "slim")
    return folder


def run(python: Path, folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the docs."""
    words = line.split()
    assert words[0] == "python"
    return subprocess.run(
        [str(python), *words[1:]], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )


@pytest.mark.parametrize("module", ["torch", "transformers", "spacy_transformers", "pyarrow"])
def test_installed_without_what_slim_pipelines_do_without(
    python: Path, folder: Path, module: str
) -> None:
    result = run(python, folder, f"python -m {module}")
    assert f"No module named {module}" in result.stderr


def test_installed_commands_work_beside_a_slim_wheel(python: Path, folder: Path) -> None:
    # README's lines, with another pipeline.
    predict = f"python -m spacy ner predict {NAME} texts.jsonl -o out.jsonl"
    install = f'pip install "{REQUIREMENT}" {NAME}-0.1.0-py3-none-any.whl'
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{install}\n{predict}\n" in readme.replace("en_ner_conll03_slim", NAME)
    for line in (
        predict,
        "python -m spacy ner convert gold.txt gold.spacy",
        f"python -m spacy ner evaluate {NAME} gold.spacy --output metrics.json --predictions found",
        "python -m spacy ner report metrics.json report.html --predictions found",
        "python -m spacy ner calibrate slim gold.spacy",
        f"python -m spacy ner review {NAME} texts.jsonl chosen.jsonl",
        "python -m spacy ner compare metrics.json metrics.json",
        f"python -m spacy ner robustness {NAME} gold.spacy",
        "python -m spacy ner scores metrics.json",
        f"python -m spacy ner info {NAME}",
        "python -m spacy ner push slim owner/name --dry-run",
    ):
        result = run(python, folder, line)
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    assert all(0 < m["score"] <= 1 for row in rows for m in row["mentions"])
    assert any(row["mentions"] for row in rows)
    result = run(python, folder, "python -m spacy ner package slim metrics.json out")
    assert result.stderr == 'Error: build is not installed: pip install "conll-ner[train]"\n'
    assert (folder / "chosen.jsonl").stat().st_size > 0
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["evaluation"]["runtime"] == "onnxruntime"
    assert "torch" not in metrics["evaluation"]["versions"]


def test_installed_service_answers(python: Path, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [str(python), *f"-m spacy ner serve {NAME} --port {port}".split()]
    server = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    try:

        def is_ready() -> bool:
            assert server.poll() is None
            try:
                return httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200
            except httpx.TransportError:
                return False

        wait_for(is_ready, seconds=60)
        response = httpx.post(f"http://127.0.0.1:{port}/predict", json={"text": TEXTS[0]})
        assert response.json()["documents"][0]["mentions"]
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("train config.cfg out", "train"),
        (f"slim {NAME} out", "train"),
        ("hf-import checkpoint out", "train"),
        (f"predict {NAME} texts.jsonl -o out.parquet", "parquet"),
        (f"annotate {NAME} texts.parquet out", "parquet"),
        (f"benchmark-serve {NAME} texts.jsonl", "benchmark"),
    ],
)
def test_installed_a_missing_extra_is_one_line(
    python: Path, folder: Path, line: str, extra: str
) -> None:
    result = run(python, folder, f"python -m spacy ner {line}")
    assert result.returncode == 1
    expected = rf'Error: \w+ is not installed: pip install "conll-ner\[{extra}\]"\n'
    assert re.fullmatch(expected, result.stderr), result.stderr


def test_installed_alone_names_what_serves_and_runs_slim_pipelines(
    wheels: list[Path], folder: Path, tmp_path: Path
) -> None:
    python = make_environment(tmp_path / ".venv", wheels[:1], "conll-ner")
    for line, module, extra in (
        ("serve slim", "uvicorn", "serve"),
        ("predict slim texts.jsonl -o out.jsonl", "onnxruntime", "slim"),
    ):
        result = run(python, folder, f"python -m spacy ner {line}")
        expected = f'Error: {module} is not installed: pip install "conll-ner[{extra}]"\n'
        assert (result.returncode, result.stderr) == (1, expected)
