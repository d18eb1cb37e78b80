"""project.yml and README: valid commands, inputs that exist, and documentation that matches."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import srsly
from weasel.cli.document import project_document
from weasel.schemas import ProjectConfigSchema, validate
from weasel.util.config import load_project_config

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    config: dict[str, Any] = load_project_config(ROOT)
    return config


def command(project: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in project["commands"] if c["name"] == name)
    return found


def test_project_file_is_valid() -> None:
    assert validate(ProjectConfigSchema, srsly.read_yaml(ROOT / "project.yml")) == []


def test_project_commands_have_help(project: dict[str, Any]) -> None:
    assert all(len(command["help"]) > 10 for command in project["commands"])


@pytest.mark.parametrize("workflow", ["all", "all-hf", "all-slim"])
def test_project_chain_is_unbroken(project: dict[str, Any], workflow: str) -> None:
    """What a step reads is in the repository or an earlier step's output."""
    made: set[str] = set()
    for name in project["workflows"][workflow]:
        step = command(project, name)
        for dep in step["deps"]:
            assert dep in made or (ROOT / dep).is_file(), f"{name} reads {dep}"
        assert step["outputs"], f"{name} would never be skipped"
        made |= set(step["outputs"])


def test_project_deps_hold_every_config_and_file_named(project: dict[str, Any]) -> None:
    """A changed input must run the steps that read it again: none may be left out of deps.
    Installed code is no input, but its version is."""
    for step in project["commands"]:
        name = step["name"]
        known = {*step.get("deps", []), *step.get("outputs", [])}
        assert not known or "scripts/token_ner/about.py" in known, name
        for line in step["script"] if known else []:
            for argument in shlex.split(line)[5:]:
                if argument.startswith(("assets/", "configs/", "corpus/", "training/", "metrics/")):
                    below = [path for path in known if path.startswith(f"{argument}/")]
                    assert argument in known or below, f"{name} names {argument}"


def test_project_variables_reach_the_commands() -> None:
    overrides = {
        "vars.backbone": "some/backbone",
        "vars.corpus_dir": "some folder",
        "vars.corpus": "mine",
        "vars.config": "other_config",
        "vars.device": "cpu",
        "vars.seed": 17,
        "vars.epochs": 5,
        "vars.package": "xx_my_model",
    }
    changed = load_project_config(ROOT, overrides=overrides)
    fetch, train = command(changed, "fetch"), command(changed, "train")
    assert shlex.split(fetch["script"][0])[-2:] == ["--source", "some folder"]
    assert shlex.split(fetch["script"][1])[6] == "some/backbone"
    line = shlex.join(shlex.split(train["script"][0]))
    for part in (
        "configs/other_config.cfg training/other_config",
        "--device cpu",
        "--paths.train corpus/mine/train.spacy",
        "--system.seed 17",
        "--training.max_epochs 5",
    ):
        assert part in line
    assert '--package "xx_my_model"' in command(changed, "package")["script"][0]
    assert "metrics/other_config.json" in command(changed, "evaluate")["outputs"]


def test_project_readme_and_ci_run_the_same_tests() -> None:
    """CI runs the README's test command, to the letter."""
    readme = (ROOT / "README.md").read_text("utf-8")
    lines = [line for line in readme.splitlines() if line.startswith("python3 -m venv")]
    tests = [line for line in lines if line.endswith("-m pytest")]
    assert len(lines) == 2
    assert len(tests) == 1
    gate = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert tests[0] in gate
    # The other command differs in the lock, which the tests' lock includes, and in its end, the
    # fixture `demo` of test_project_runs.py.
    (demo,) = set(lines) - set(tests)
    set_up, pytest_ = tests[0].rsplit(" && ", 1)
    assert demo == (
        f"{set_up.replace('-dev.txt', '.txt')} && .venv/bin/python -m spacy project run demo"
    )
    assert pytest_ == ".venv/bin/python -m pytest"
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text("utf-8").splitlines()


def test_project_file_is_short() -> None:
    assert len((ROOT / "project.yml").read_text("utf-8").splitlines()) <= 350


def test_project_steps_that_always_run_have_no_deps(project: dict[str, Any]) -> None:
    """weasel ignores them there."""
    for step in project["commands"]:
        if step.get("no_skip"):
            assert not step.get("deps")
            assert not step.get("outputs")


def test_project_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 130


def test_project_steps_are_documented(tmp_path: Path) -> None:
    """The block of docs/project.md is what `spacy project document` writes."""
    page = (ROOT / "docs" / "project.md").read_text("utf-8")
    (tmp_path / "project.md").write_text(page, encoding="utf-8")
    project_document(ROOT, tmp_path / "project.md", no_emoji=True)
    assert (tmp_path / "project.md").read_text("utf-8") == page
