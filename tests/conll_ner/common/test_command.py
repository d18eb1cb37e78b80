"""The door: every command goes through it, and no output of any of them meets an input."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from conll_ner.cli import COMMANDS, load_command
from conll_ner.common.command import READS, Reads, Writes, command, find_roles

WITHOUT_OUTPUT = {"compare", "hf-predict", "info", "push", "benchmark-serve", "calibrate"}
DOOR = command(lambda: None).__code__


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """YIELDS (tuple[str, Callable]): Each command and subcommand, with its function: the door's, or
    the innermost."""
    for name in COMMANDS:
        loaded = load_command(name)
        for sub, each in getattr(loaded, "commands", {name: loaded}).items():
            function = inspect.unwrap(each.callback, stop=lambda f: f.__code__ is DOOR)
            if not each.hidden:
                yield (name if sub == name else f"{name} {sub}"), function


FUNCTIONS = dict(functions())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_command_goes_through_the_door(name: str) -> None:
    assert FUNCTIONS[name].__code__ is DOOR


@pytest.mark.parametrize("name", FUNCTIONS)
def test_command_names_its_output(name: str) -> None:
    writes = [role for role in find_roles(FUNCTIONS[name]).values() if isinstance(role, Writes)]
    assert bool(writes) == (name not in WITHOUT_OUTPUT)


def call(name: str, paths: dict[str, Any]) -> None:
    """Call a command with some of its paths."""
    function = FUNCTIONS[name]
    parameters = inspect.signature(function).parameters
    arguments = {key: None for key, value in parameters.items() if value.default is value.empty}
    function(**arguments | paths)


def pairs() -> Iterator[tuple[str, str, str]]:
    """YIELDS (tuple[str, str, str]): A command with one of its inputs and one of its outputs."""
    for name, function in FUNCTIONS.items():
        roles = find_roles(function)
        for output, role in roles.items():
            if isinstance(role, Writes) and role.kind != "inside":
                yield from (
                    (name, source, output)
                    for source, other in roles.items()
                    if isinstance(other, Reads)
                )


@pytest.mark.parametrize(("name", "source", "output"), list(pairs()))
def test_command_output_that_meets_an_input_is_refused(
    name: str, source: str, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the input, contains it, or lies in it; behind links too."""
    folder, file = tmp_path / "input", tmp_path / "input" / "file"
    folder.mkdir()
    file.write_text("mine")
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "outside").write_text("mine")
    (folder / "linked").symlink_to(tmp_path / "outside")
    is_list = "list" in str(inspect.signature(FUNCTIONS[name]).parameters[source].annotation)
    before = sorted(tmp_path.rglob("*"))
    for read, written in [
        (file, file),
        (folder, folder / "new"),
        (folder, tmp_path / "link" / "new"),
        (folder, tmp_path / "outside"),
    ]:
        with pytest.raises(SystemExit) as error:
            call(name, {source: [read] if is_list else read, output: written})
        assert error.value.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert " input" in line
        assert "choose another output" in line
    assert sorted(tmp_path.rglob("*")) == before
    assert file.read_text() == (tmp_path / "outside").read_text() == "mine"


LISTS = [
    (name, output, suffix)
    for name, function in FUNCTIONS.items()
    for output, role in find_roles(function).items()
    if isinstance(role, Writes)
    for suffix in role.lists
]


def test_command_lists_are_known() -> None:
    assert {(name, suffix) for name, _, suffix in LISTS} == {
        ("convert", ".issues.jsonl"),
        ("predict", ".rejects.jsonl"),
        ("redact", ".rejects.jsonl"),
        ("review", ".rejects.jsonl"),
        ("teach", ".rejects.jsonl"),
    }


@pytest.mark.parametrize(("name", "output", "suffix"), LISTS)
def test_command_list_that_is_somebodys_file_is_kept(
    name: str, output: str, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / f"out.spacy{suffix}"
    theirs.write_text('{"text": "mine"}\n')
    with pytest.raises(SystemExit):
        call(name, {output: tmp_path / "out.spacy"})
    assert f"{theirs} is the place of a list that this command writes" in capsys.readouterr().err
    assert theirs.read_text() == '{"text": "mine"}\n'


# --- The decorator itself ---


@command
def copy(
    source: Annotated[str, typer.Argument(), READS],
    output: Annotated[Path, typer.Argument(), Writes("file", (".list",))],
    more: list[Path] | None = None,
) -> str:
    """Copy."""
    output.write_text(Path(source).read_text() + "+" * len(more or ()))
    return "copied"


def test_command_is_called_when_nothing_meets(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("text")
    assert copy(str(tmp_path / "in"), tmp_path / "out") == "copied"
    assert copy(str(tmp_path / "in"), tmp_path / "out", [tmp_path / "other"]) == "copied"
    assert (tmp_path / "out").read_text() == "text+"


def test_command_roles_are_those_of_the_annotations() -> None:
    assert find_roles(copy) == {
        "source": READS,
        "output": Writes("file", (".list",)),
        "more": READS,
    }


def test_command_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        copy(str(tmp_path / "missing"), tmp_path / "out")
    assert error.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert "missing" in line


def test_command_unfinished_output_is_an_output_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What lies in OUTPUT.partial is deleted by a new run."""
    source = tmp_path / "out.partial" / "in"
    source.parent.mkdir()
    source.write_text("mine")
    with pytest.raises(SystemExit):
        copy(str(source), tmp_path / "out")
    assert "contains the input" in capsys.readouterr().err
