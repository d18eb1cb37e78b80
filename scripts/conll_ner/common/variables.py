"""Variables of `spacy project run`, checked before weasel puts them into command lines. It accepts
any name, reads values as JSON, and fails on some texts, or changes or splits them, without a word.
"""

import os
import re
import shlex
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

import srsly

from conll_ner.common.console import UNSAFE, InputError, shorten

OPTION = re.compile(r"--vars\.([^=]+)(?:=(.*))?", re.DOTALL)
FLAGS = ("--force", "-F", "--dry", "-D", "--help")  # of `spacy project run`
PROJECT = "project.yml"
OURS = "-m spacy ner "  # in the commands of our projects
ENVIRONMENT = "WEASEL_CONFIG_OVERRIDES"
SEVERAL = ("options", "settings", "launcher")  # several arguments each; others are one


def check_run(arguments: Sequence[str]) -> None:
    """Check the variables of a project of ours; nothing is checked for others.

    arguments (Sequence[str]): What follows `project run` on the command line.
    RAISES (InputError): If project.yml doesn't have a variable, on the command line or in the
        environment, or its value wouldn't reach the commands as it is.
    """
    places = [argument for argument in arguments if argument not in FLAGS]
    path = Path(*places[1:2], PROJECT)
    if not path.is_file() or OURS not in path.read_text(encoding="utf-8"):
        return
    try:
        environment = shlex.split(os.environ.get(ENVIRONMENT, ""))
    except ValueError as error:
        raise InputError(f"the variable {ENVIRONMENT} can't be read: {error}") from None
    known: dict[str, Any] = srsly.read_yaml(path)["vars"]
    found = [*read_variables(places[2:]), *read_variables(environment)]
    unknown = [name + suggest(name, known) for name in sorted({n for n, _ in found} - known.keys())]
    if unknown:
        raise InputError(f"project.yml has no variable {', '.join(unknown)}")
    for name, value in found:
        problem = find_problem(name, value, known)
        if problem:
            raise InputError(f"--vars.{name} {shorten(repr(value))}: {problem}")


def suggest(name: str, known: Collection[str]) -> str:
    return "".join(f" (did you mean {similar}?)" for similar in get_close_matches(name, known, 1))


def read_variables(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """RETURNS (list[tuple[str, str]]): Names and values of options such as --vars.seed 1, or
    --vars.seed=1."""
    found = []
    for argument, following in pairwise([*arguments, "--"]):
        match = OPTION.fullmatch(argument)
        if match:
            value = "true" if following.startswith("--") else following
            found.append((match[1], value if match[2] is None else match[2]))
    return found


def find_problem(name: str, text: str, known: dict[str, Any]) -> str:
    """RETURNS (str): Why a value wouldn't reach the commands as it is; empty if it does.

    known (dict[str, Any]): The variables of project.yml, with their defaults.
    """
    try:
        value = srsly.json_loads(text)  # as weasel does
    except ValueError:
        value = text
    if isinstance(value, dict | list):
        return "JSON is not a text"
    read = str(value) if isinstance(value, str | int | float) else text
    bad = UNSAFE.search(read) or re.search(r'["$\\]', read)
    if bad:
        return f"it contains {bad[0]!a}" + "; write paths with /" * (bad[0] == "\\")
    numbers = re.findall(r"\$\{vars\.(\w+)\}", str(known.get("settings", "")))  # of the config
    if isinstance(known[name], str) and name not in numbers and not isinstance(value, bool):
        if read != text.strip('"'):
            return f"it would be read as the number {read}; write '\"{text}\"'"
        if not read and known[name]:
            return "it is empty"
    if name not in (*SEVERAL, *numbers):
        return ""  # quoted in project.yml
    try:
        parts = shlex.split(read)
    except ValueError as error:
        return str(error)
    return "" if name in SEVERAL or parts == [read] else "it isn't one argument"
