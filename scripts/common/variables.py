"""Names of project variables. `spacy project run` accepts any --vars.NAME, and an unknown one does
nothing."""

import os
import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches

import psutil
import srsly

from common.paths import ROOT

OPTION = re.compile(r"--vars\.([^=]+)")


def unknown_variables() -> list[str]:
    """RETURNS (list[str]): Variables that were set for this run of the project, in the environment
    or on the command line of a process above this one, and that project.yml doesn't have; each
    with a similar name that it has, if there is one."""
    found = named_variables(shlex.split(os.environ.get("WEASEL_CONFIG_OVERRIDES", "")))
    for process in psutil.Process().parents():
        try:
            found |= named_variables(process.cmdline())
        except psutil.Error:  # another user's process, or one that has ended
            continue
    if not found:
        return []
    known = srsly.read_yaml(ROOT / "project.yml")["vars"]
    return [
        name
        + "".join(f" (did you mean {similar}?)" for similar in get_close_matches(name, known, 1))
        for name in sorted(found - known.keys())
    ]


def named_variables(arguments: Iterable[str]) -> set[str]:
    """RETURNS (set[str]): The names in options such as --vars.seed."""
    return {match[1] for argument in arguments if (match := OPTION.match(argument))}
