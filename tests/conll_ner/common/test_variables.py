"""A variable that project.yml doesn't have is an error, however it was set."""

from pathlib import Path

import pytest

from tests.project_helpers import copy_project, run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    return folder


@pytest.mark.parametrize("option", [["--vars.sed", "1"], ["--vars.sed=1"]])
def test_unknown_variable_on_the_command_line_is_an_error(project: Path, option: list[str]) -> None:
    result = run(project, "fetch", ".", "--vars.corpus", "sample", *option)
    assert result.returncode != 0
    line = "Error: project.yml has no variable sed (did you mean seed?)"
    assert line in result.stderr.splitlines()
    assert not (project / "assets" / "backbone").exists()


def test_unknown_variable_in_the_environment_is_an_error(project: Path) -> None:
    overrides = "--vars.corpus sample --vars.qqq 1"
    result = run(project, "fetch", ".", WEASEL_CONFIG_OVERRIDES=overrides)
    assert result.returncode != 0
    assert "Error: project.yml has no variable qqq" in result.stderr.splitlines()


def test_known_variables_are_no_error(project: Path) -> None:
    """The step fails later, for its own reason."""
    result = run(project, "convert", ".", "--vars.corpus", "nothing", "--vars.seed", "1")
    assert "assets/nothing" in result.stdout + result.stderr
    assert "has no variable" not in result.stderr
