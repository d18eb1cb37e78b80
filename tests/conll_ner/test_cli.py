"""`python -m spacy ner`: every command is there, and is imported when it is called."""

import json
import statistics
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from conll_ner.cli import COMMANDS, STAGES, app, load_command

# Prints what the entry point adds to the modules that spaCy's command line imports.
ADDED = """
import json, sys
import spacy.cli
before = set(sys.modules)
import conll_ner.cli
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_cli_help_shows_every_command_by_stage() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "spacy", "ner", "--help"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    stages = [line.removesuffix(":") for line in lines if line.endswith(":") and line[0] != " "]
    assert stages == ["Options", *STAGES]
    listed = [line.split()[0] for line in lines[lines.index("Data:") :] if line.startswith("  ")]
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_cli_command_has_help(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"{name} [OPTIONS]" in result.output
    command = load_command(name)
    assert command.name == name
    assert command.help or getattr(command, "commands", None)


def test_cli_unknown_command_is_an_error() -> None:
    result = CliRunner().invoke(app, ["trian"])
    assert result.exit_code == 2
    assert "No such command 'trian'" in result.output


def test_cli_imports_nothing_until_a_command_is_called() -> None:
    result = subprocess.run([sys.executable, "-c", ADDED], capture_output=True, text=True)
    assert json.loads(result.stdout) == ["conll_ner", "conll_ner.cli"]


@pytest.mark.slow
def test_cli_commands_without_training_import_no_transformers() -> None:
    """It takes seconds."""
    code = (
        "import sys; from conll_ner.cli import load_command\n"
        "for name in ('convert', 'predict', 'evaluate', 'compare'): load_command(name)\n"
        "assert 'spacy_transformers' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.alone
def test_cli_help_of_a_command_takes_at_most_0_4_s_more_than_spacys() -> None:
    seconds: dict[tuple[str, ...], list[float]] = {
        ("--help",): [],
        ("ner", "convert", "--help"): [],
    }
    for _ in range(3):
        for arguments, measured in seconds.items():
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "spacy", *arguments], capture_output=True, check=True
            )
            measured.append(time.perf_counter() - start)
    spacys, ours = map(statistics.median, seconds.values())
    assert ours - spacys < 0.4
