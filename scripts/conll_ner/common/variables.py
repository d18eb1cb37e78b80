"""Names of project variables. `spacy project run` accepts any --vars.NAME, and an unknown one does
nothing."""

import os
import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import srsly

from conll_ner.common.console import InputError

OPTION = re.compile(r"--vars\.([^=]+)")
PROJECT = Path("project.yml")  # steps run in the project's folder


def check_variables() -> None:
    """RAISES (InputError): If `spacy project run` started this command, with a variable, on its
    command line or in the environment, that project.yml doesn't have."""
    line = parent_command()
    if ("project", "run") not in pairwise(line) or not PROJECT.is_file():
        return
    found = named_variables([*line, *shlex.split(os.environ.get("WEASEL_CONFIG_OVERRIDES", ""))])
    known = srsly.read_yaml(PROJECT)["vars"]
    unknown = [
        name
        + "".join(f" (did you mean {similar}?)" for similar in get_close_matches(name, known, 1))
        for name in sorted(found - known.keys())
    ]
    if unknown:
        raise InputError(f"project.yml has no variable {', '.join(unknown)}")


def parent_command() -> list[str]:
    """RETURNS (list[str]): The command line of the process that started this one; empty if it can't
    be read."""
    if find_spec("psutil") is None:
        return []
    import psutil

    try:
        parent = psutil.Process().parent()
        return parent.cmdline() if parent else []
    except psutil.Error:  # another user's process, or one that has ended
        return []


def named_variables(arguments: Iterable[str]) -> set[str]:
    """RETURNS (set[str]): The names in options such as --vars.seed."""
    return {match[1] for argument in arguments if (match := OPTION.match(argument))}
