"""Variables reach the commands as they are, or are an error: one that project.yml doesn't have, and
a value that weasel fails on, changes or splits; however it was set."""

import shlex
import shutil
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import pytest
import srsly
from weasel.util.config import load_project_config, parse_config_overrides

from conll_ner.common.console import InputError
from conll_ner.common.variables import ENVIRONMENT, SEVERAL, check_run
from tests.conftest import ROOT
from tests.project_helpers import copy_project, run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment", "line"),
    [
        (["--vars.sed", "1"], "", "project.yml has no variable sed (did you mean seed?)"),
        (["--vars.sed=1"], "", "project.yml has no variable sed (did you mean seed?)"),
        ([], "--vars.seed 1 --vars.qqq 1", "project.yml has no variable qqq"),
        (["--vars.run", 'a"b'], "", """--vars.run 'a"b': it contains '"'"""),
        ([], "--vars.run 'a", f"the variable {ENVIRONMENT} can't be read: No closing quotation"),
    ],
)
def test_wrong_variables_are_one_line_before_anything_runs(
    arguments: list[str], environment: str, line: str, python: Path, tmp_path: Path
) -> None:
    copy_project(tmp_path)
    result = run(
        tmp_path, "fetch", ".", *arguments, python=python, WEASEL_CONFIG_OVERRIDES=environment
    )
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"Error: {line}\n")
    assert not (tmp_path / "corpus").exists()


@pytest.mark.slow
def test_known_variables_are_no_error(python: Path, tmp_path: Path) -> None:
    """The step fails later, for its own reason."""
    copy_project(tmp_path)
    arguments = ["--vars.corpus", "nothing", "--vars.seed", "1"]
    result = run(tmp_path, "convert", ".", *arguments, python=python)
    assert "assets/nothing" in result.stdout + result.stderr
    assert not result.stderr.startswith("Error: ")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("run", 'a"b', "it contains '\"'"),
        ("run", "a$b", "it contains '$'"),
        ("run", "${vars.seed}", "it contains '$'"),
        ("run", "a\nb", r"it contains '\n'"),
        ("run", "a\tb", r"it contains '\t'"),
        ("run", "a\x1b[31m", r"it contains '\x1b'"),
        ("corpus_dir", r"C:\data", r"it contains '\\'; write paths with /"),
        ("run", "", "it is empty"),
        ("version", "1.10", "it would be read as the number 1.1; write '\"1.10\"'"),
        ("run", "1e3", "it would be read as the number 1000.0"),
        ("options", '{"a": 1}', "JSON is not a text"),
        ("run", "[1]", "JSON is not a text"),
        ("options", "a=it's", "No closing quotation"),
        ("launcher", 'python -c "x"', "it contains '\"'"),
        ("lang", "e n", "it isn't one argument"),
        ("lang", "", "it isn't one argument"),
        ("seed", "it's", "No closing quotation"),
    ],
)
def test_values_that_would_not_reach_the_commands_are_refused(
    name: str, value: str, problem: str
) -> None:
    for arguments in ([f"--vars.{name}", value], [f"--vars.{name}={value}"]):
        with pytest.raises(InputError) as error:
            check_run(["--force", "all", str(ROOT), *arguments])
        assert problem in str(error.value)
        assert str(error.value).startswith(f"--vars.{name} ")
        assert len(str(error.value).splitlines()) == 1


@pytest.fixture(scope="module")
def parsed_once() -> Iterator[None]:
    """project.yml is read a hundred times; parsing its YAML takes all of the time."""
    project = srsly.read_yaml(ROOT / "project.yml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(srsly, "read_yaml", lambda _: deepcopy(project))
        yield


@pytest.mark.parametrize("value", ["a b", "it's", "a#b", "a'b c'd", " é ", "-x", "a{b}", "7", "$"])
@pytest.mark.usefixtures("parsed_once")
def test_accepted_values_reach_every_command_as_they_are(value: str) -> None:
    """Whatever the check lets through, weasel and shlex give the commands as one argument, or part
    of one."""
    accepted = []
    for name in srsly.read_yaml(ROOT / "project.yml")["vars"]:
        with suppress(InputError):
            check_run(["all", str(ROOT), f"--vars.{name}={value}"])
            accepted.append(name)
    assert ("run" in accepted) == (value != "$")
    assert ("device" in accepted) == (value in ("a#b", "-x", "a{b}", "7"))
    single = [name for name in accepted if name not in SEVERAL]
    changed = split_scripts([f"--vars.{name}={value}" for name in single])
    marked = split_scripts([f"--vars.{name}=MARK" for name in single])
    assert changed == [[part.replace("MARK", value) for part in line] for line in marked]
    for name in {*SEVERAL} & {*accepted}:
        lines = split_scripts([f"--vars.{name}={value}"])
        assert any(" ".join(shlex.split(value)) in " ".join(line) for line in lines)


def split_scripts(options: list[str]) -> list[list[str]]:
    """RETURNS (list[list[str]]): The arguments of every command of the project."""
    commands = load_project_config(ROOT, overrides=parse_config_overrides(options))["commands"]
    return [shlex.split(line) for command in commands for line in command["script"]]


def test_variables_of_another_project_are_not_checked(tmp_path: Path) -> None:
    (tmp_path / "project.yml").write_text("vars: {}\ncommands: []\n")
    check_run(["all", str(tmp_path), "--vars.unknown", 'a"b'])
    check_run(["all", str(tmp_path / "none"), "--vars.unknown", 'a"b'])
    shutil.copy(ROOT / "project.yml", tmp_path)
    with pytest.raises(InputError, match=r"project.yml has no variable unknown"):
        check_run(["all", str(tmp_path), "--vars.unknown", 'a"b'])
