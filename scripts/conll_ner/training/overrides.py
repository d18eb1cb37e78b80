"""Settings on the command line that override a config."""

import re
from typing import Any

from spacy.cli._util import parse_config_overrides

SETTING = re.compile(r"(--)?(\w+(\.[\w@]+)+)=(.*)", re.DOTALL)  # corpora.train.limit=95


def read_overrides(arguments: list[str]) -> dict[str, Any]:
    """Read settings that override the config: --corpora.train.limit 95, or without dashes
    corpora.train.limit=95, since `spacy project run` takes no value that begins with dashes.

    RETURNS (dict[str, Any]): The values, by dotted names.
    """
    parts: list[str] = []
    for argument in arguments:
        if setting := SETTING.fullmatch(argument):
            # Apart: spaCy removes "--" from values behind "=".
            parts += f"--{setting[2]}", setting[4]
        else:
            parts.append(argument)
    return parse_config_overrides(parts)
