"""The images: what can be checked without Docker, and the image itself where Docker runs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from packaging.utils import canonicalize_name
from spacy.language import Language
from weasel.util.config import load_project_config

from conll_ner.packaging.package import (
    CODE_REQUIREMENTS,
    REQUIREMENTS,
    SLIM_REQUIREMENTS,
    default_name,
)
from conll_ner.serving import serve
from conll_ner.serving.app import create_app
from conll_ner.serving.batcher import Batcher
from tests.conftest import ROOT
from tests.imports import SCRIPTS, import_closure
from tests.installed import with_dependencies
from tests.serve_helpers import nlp, serving, wait_for  # noqa: F401  the fixture

FULL, SLIM = "Dockerfile", "Dockerfile.slim"
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in (FULL, SLIM)}
FILES = pytest.mark.parametrize("file", TEXTS)
# Imported only by modules that the service imports where it needs them (test_installed serves a
# slim pipeline without them).
NOT_NEEDED = {FULL: {"pyarrow"}, SLIM: {"pyarrow", "torch", "transformers", "spacy_transformers"}}
SOURCES = ("requirements.txt", "pyproject.toml", "README.md", "LICENSE", "scripts")


def instructions(file: str) -> list[tuple[str, str]]:
    """RETURNS (list[tuple[str, str]]): Each instruction's name and arguments."""
    lines = [line for line in TEXTS[file].splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (x.partition(" ") for x in joined.splitlines())]


def arguments(file: str, name: str) -> list[str]:
    return [rest for found, rest in instructions(file) if found == name]


def entry_point(file: str) -> list[str]:
    (found,) = arguments(file, "ENTRYPOINT")
    command: list[str] = json.loads(found)
    return command


def health_check(file: str) -> list[str]:
    (found,) = arguments(file, "HEALTHCHECK")
    command: list[str] = json.loads(found.partition("CMD ")[2])
    return command


def installed_by_pip(file: str) -> str:
    """RETURNS (str): This project with the extras that the Dockerfile names."""
    found = re.search(r'--constraint constraints.txt "\.(\[[\w,]+\])"', TEXTS[file])
    assert found
    return f"conll-ner{found[1]}"


def imported_at_start() -> Iterator[str]:
    """YIELDS (str): The modules that serve and its libraries import when they are loaded."""
    for path in import_closure(SCRIPTS / "conll_ner" / "serving" / "serve.py"):
        for node in ast.parse(path.read_text("utf-8")).body if path.suffix == ".py" else ():
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


@FILES
def test_dockerfile_reads_files_that_exist_and_are_sent(file: str) -> None:
    sources = {name for rest in arguments(file, "COPY") for name in rest.split()[:-1]}
    assert sources == {*SOURCES}
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert all((ROOT / source).exists() for source in sources)
    mounted = re.findall(r"--mount=\S*source=([^,\s]+)", TEXTS[file])
    assert mounted == ["packages"]
    assert sent[1:] == [
        *("*", *(f"!{source}" for source in SOURCES)),
        *("!packages", "packages/*/*/*", "!packages/*/*/dist"),
        *("**/__pycache__", "**/*.egg-info"),
    ]


@FILES
def test_dockerfile_takes_the_wheel_of_the_project(file: str) -> None:
    run = load_project_config(ROOT)["vars"]["config"]
    meta: dict[str, Any] = {"lang": "en"} | ({"slim": {}} if file == SLIM else {})
    name = default_name(meta, {"corpus": {"assets/conll2003/train.txt": ""}})
    run += "-slim" if file == SLIM else ""
    assert arguments(file, "ARG") == [f"RUN={run}", f"PACKAGE={name}"]
    assert '"/packages/${RUN}/${PACKAGE}-"*/dist/*.whl' in TEXTS[file]  # where package writes it


@FILES
def test_dockerfile_installs_what_the_service_imports(file: str) -> None:
    full = (*REQUIREMENTS, *CODE_REQUIREMENTS)
    wheel = full if file == FULL else SLIM_REQUIREMENTS
    own = {path.stem for path in SCRIPTS.iterdir()}
    installed = with_dependencies(installed_by_pip(file), *wheel)
    distributions = packages_distributions()
    imported = set(imported_at_start()) - sys.stdlib_module_names - own
    assert {"spacy", "fastapi", "uvicorn"} <= imported
    imported -= NOT_NEEDED[file]
    for module in imported:
        assert any(canonicalize_name(name) in installed for name in distributions[module]), module


@FILES
def test_dockerfile_installs_versions_of_the_lock(file: str) -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    assert with_dependencies(installed_by_pip(file)) - {"conll-ner"} <= pinned
    assert "grep '==' requirements.txt > constraints.txt" in TEXTS[file]
    pip = [
        part for run in arguments(file, "RUN") for part in run.split("&&") if "pip install" in part
    ]
    assert len(pip) == (3 if file == FULL else 2)
    assert all("--constraint constraints.txt" in p or "grep '^torch=='" in p for p in pip)


@FILES
def test_dockerfile_has_a_user_without_rights_and_no_secret(file: str) -> None:
    user = arguments(file, "USER")[-1]
    assert int(user) > 0  # a number: Kubernetes can't check a name
    assert instructions(file).index(("USER", user)) > max(
        i for i, (name, _) in enumerate(instructions(file)) if name in ("RUN", "COPY")
    )
    assert not re.search(r"token(?!izers|_ner)|password|secret", TEXTS[file], re.IGNORECASE)


@FILES
def test_entry_point_passes_options_that_serve_has(file: str, tmp_path: Path) -> None:
    """It runs here, with a `python` that prints its arguments."""
    (tmp_path / "python").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PIPELINE": "en_ner_conll03_trf"}
    own = ["--timeout", "10", "--allow-host", "ner", "--root-path", "/a b"]
    printed = subprocess.run(
        [*entry_point(file), *own], env=environment, capture_output=True, text=True
    )
    lines = printed.stdout.splitlines()
    assert lines[:4] == ["-m", "spacy", "ner", "serve"]
    app = typer.Typer()
    app.command()(serve.main)
    values = typer.main.get_command(app).make_context("serve", lines[4:]).params
    assert values["pipeline"] == "en_ner_conll03_trf"
    assert values["host"] == "0.0.0.0"
    assert values["timeout"] == 10
    assert list(values["allow_host"]) == ["ner"]
    assert values["root_path"] == "/a b"
    assert arguments(file, "EXPOSE") == [str(values["port"])]


@FILES
def test_health_check_asks_whether_the_service_is_ready(
    file: str,
    nlp: Language,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs here, with another port."""

    def check(url: str) -> int:
        *command, code = health_check(file)
        assert command == ["python", "-c"]
        assert "8000" in code
        code = code.replace("8000", url.rpartition(":")[2])
        return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode

    with serving(create_app(nlp, hosts=["localhost", "127.0.0.1"], token="t")) as url:
        assert check(url) == 0
    assert check(url) == 1  # it has ended

    async def fail(_: Batcher) -> None:
        raise RuntimeError

    monkeypatch.setattr(Batcher, "next_batch", fail)
    with serving(create_app(nlp)) as url:
        assert check(url) == 1


# --- With Docker ---


def docker(*command: str, folder: Path | None = None) -> str:
    result = subprocess.run(["docker", *command], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout.strip()


@pytest.fixture
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The image of the trained project's wheel, which is removed at the end."""
    if shutil.which("docker") is None:
        pytest.skip("no Docker: install it to build the image")
    if subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
        pytest.skip("Docker's daemon doesn't run: start it to build the image")
    trained: Path = request.getfixturevalue("trained")
    for path in (trained / "packages", *(ROOT / name for name in SOURCES)):
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, tmp_path / path.name)
    for name in (FULL, ".dockerignore"):
        shutil.copy(ROOT / name, tmp_path)
    tag = f"ner-test-{uuid.uuid4().hex}"
    sample = ("--build-arg", "PACKAGE=en_ner_sample_trf")
    docker("build", "--tag", tag, *sample, ".", folder=tmp_path)
    yield tag
    docker("rmi", "--force", tag)


@pytest.mark.slow
def test_image_serves_the_wheel(image: str) -> None:
    publish = ("--publish", "127.0.0.1::8000")
    container = docker(
        "run", "--detach", *publish, "--env", "NER_TOKEN=t", image, "--timeout", "30"
    )
    try:
        url = f"http://{docker('port', container, '8000/tcp').splitlines()[0]}"

        def is_ready() -> bool:
            try:
                return httpx.get(f"{url}/ready").status_code == 200
            except httpx.TransportError:
                return False

        wait_for(is_ready, seconds=120)
        docker("exec", container, *health_check(FULL))
        assert docker("exec", container, "id", "-u") == arguments(FULL, "USER")[-1]
        headers = {"Authorization": "Bearer t", "Host": "any.name"}
        body = {"text": "Ada Lindqvist left Varnholm."}
        response = httpx.post(f"{url}/predict", json=body, headers=headers, timeout=60)
        assert len(response.json()["documents"]) == 1
        docker("stop", "-t", "60", container)
        assert '"path": "/predict", "status": 200' in docker("logs", container)
    finally:
        docker("rm", "--force", container)
