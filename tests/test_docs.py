"""README and docs/: every block of bash and Python runs, in order, in a copy of the project.

The pages about training are in test_docs_training.py.
"""

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pyarrow.parquet
import pytest

from conll_ner.benchmarking.service_load import wait_until_listening
from tests.conftest import ROOT, SHORT
from tests.docs_helpers import (
    N_TEXTS,
    PLACEHOLDERS,
    blocks,
    environment,
    fill_in,
    run_blocks,
    runnable,
)

pytestmark = pytest.mark.slow
PAGES = sorted((ROOT / "docs").glob("*.md"))


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
    found = [
        (language, code.replace("training/demo", "training/token_ner"))  # the run of this project
        for language, code in runnable(ROOT / "README.md")
    ]
    printed = run_blocks(project, found)
    assert re.search(r"^\w.* (PER|LOC|ORG|MISC) \d+ \d+ 0\.\d+$", printed, re.MULTILINE)


def test_app_every_block_runs(project: Path) -> None:
    found = runnable(ROOT / "docs" / "app.md")
    assert len(found) > 6
    run_blocks(project, found)


def test_scores_every_block_runs(project: Path) -> None:
    printed = run_blocks(project, runnable(ROOT / "docs" / "scores.md"))
    assert "{'LOC': 0.0, 'MISC': 0.0, 'ORG': 0.5, 'PER': 0.9}" in printed
    assert re.search(r"^\w.* (PER|LOC|ORG|MISC) 0\.\d+$", printed, re.MULTILINE)


def test_service_every_block_runs(project: Path) -> None:
    printed = run_blocks(project, runnable(ROOT / "docs" / "service.md"))
    assert '{"documents":[{"mentions":[' in printed
    assert (project / "mentions.parquet").is_file()
    assert len((project / "a.jsonl").read_text(encoding="utf-8").splitlines()) == N_TEXTS
    assert len(pyarrow.parquet.read_table(project / "annotated")) == 3


def test_spacy_every_block_runs(project: Path, tiny_backbone: Path) -> None:
    """ "Another backbone" is a folder with a tiny one."""
    found = runnable(ROOT / "docs" / "spacy.md")
    assert len(found) > 6
    other = {"BACKBONE": str(tiny_backbone), "WEASEL_CONFIG_OVERRIDES": SHORT}
    run_blocks(project, found, **other)
    assert (project / "training" / "mine" / "model-best").is_dir()
    for run, backbone in (("small", "minilm"), ("swapped", str(tiny_backbone))):
        record = json.loads((project / "training" / run / "run.json").read_text(encoding="utf-8"))
        assert record["backbone"]["name"] == backbone


def test_service_serve_runs(project: Path) -> None:
    """Start the service by its line, ask for its page, and stop it as Ctrl-C does."""
    (line,) = (
        code for _, code in blocks(ROOT / "docs" / "service.md") if code.count("project run serve")
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


def test_evaluation_every_block_runs(project: Path) -> None:
    printed = run_blocks(project, runnable(ROOT / "docs" / "evaluation.md"))
    assert "| token_ner | test |" in printed
    report = (project / "metrics" / "token_ner" / "report.html").read_text(encoding="utf-8")
    assert 'id="chart-training-f1"' in report
    assert "token_ner/report.html" in (project / "metrics" / "index.html").read_text("utf-8")
    assert json.loads((project / "metrics" / "token_ner.json").read_text())["training"]["seed"] == 0


def test_formats_every_block_runs(project: Path) -> None:
    printed = run_blocks(project, runnable(ROOT / "docs" / "formats.md"))
    assert "(prodigy)" in printed
    assert sorted(path.name for path in (project / "folds").glob("*/*.spacy")) == (
        ["dev.spacy"] * 5 + ["train.spacy"] * 5
    )


def test_loop_every_block_runs(project: Path) -> None:
    run_blocks(project, runnable(ROOT / "docs" / "loop.md"))
    tasks = json.loads((project / "metrics" / "token_ner" / "review.json").read_text("utf-8"))
    assert 50 < len(tasks) <= 100
    assert all(len(task["predictions"]) == 1 for task in tasks)
    lines = (project / "review.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0])["_view_id"] == "ner_manual"


def test_slim_every_block_runs(project: Path) -> None:
    found = runnable(ROOT / "docs" / "slim.md")
    printed = run_blocks(project, [block for block in found if block[0] == "bash"])
    (wheel,) = project.glob("packages/*/*_slim-*/dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(project / "site")
    printed += run_blocks(project, [block for block in found if block[0] == "python"])
    assert "in int8, without torch" in printed
    assert "en_ner_conll03_slim-0.1.0-py3-none-any.whl: installed and loaded" in printed
    assert re.search(r"\('\w+.*', '(PER|LOC|ORG|MISC)', 0\.\d+\)", printed)


def test_fork_server_is_a_python(python: Path, tmp_path: Path) -> None:
    """What stands in for `python` in these tests has its exit codes, streams and arguments."""
    for arguments in (["-c", "import sys; print(sys.argv[1:]); sys.exit(3)", "a b"], ["none.py"]):
        own, real = (
            subprocess.run([exe, *arguments], cwd=tmp_path, capture_output=True, text=True)
            for exe in (str(python), sys.executable)
        )
        assert (own.stdout, bool(own.returncode)) == (real.stdout, bool(real.returncode))
