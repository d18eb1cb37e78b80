"""Rasa's YAML training data (https://legacy-docs-oss.rasa.com/docs/rasa/training-data-format)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import srsly

from conll_ner.common.console import InputError, first_line, shorten
from conll_ner.data.encodings import read_text
from conll_ner.data.formats.annotated import Annotated, Format, Issue, Reading, Source, attempt
from conll_ner.data.mentions import CharMention

EXAMPLE = re.compile(r"^- (.*)$", re.MULTILINE)
# `[Oslo](LOC)`, with a synonym `[NYC](LOC:New York)`, or `[Oslo]{"entity": "LOC"}`
MENTION = re.compile(r"\[([^\]]+)\](?:\(([^:)]+)(?::[^)]*)?\)|(\{[^}]*\}))")


def is_rasa_yaml(source: Source) -> str:
    keys = (r"^nlu:\s*$", r"^ *(- )?examples: *[|>]?")
    found = all(re.search(key, source.start, re.MULTILINE) for key in keys)
    return 'YAML with "nlu" and "examples"' if found else ""


def read_rasa_yaml(path: Path, reading: Reading) -> Iterator[Annotated | Issue]:
    """Read the examples of intents; those of synonyms, tables and patterns are no texts.
    RAISES (InputError): If the file isn't YAML, or has no list of examples."""
    try:
        content = srsly.yaml_loads(read_text(path, reading.encoding))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {first_line(error)}") from None
    items = content.get("nlu") if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise InputError(f'{path} has no list "nlu"')
    for item in items:
        if isinstance(item, dict) and "intent" in item:
            for number, example in enumerate(list_examples(item.get("examples")), start=1):
                where = f"{path}, {shorten(str(item['intent']))}, example {number}"
                yield from attempt(where, example, read_example)


def list_examples(examples: Any) -> list[Any]:
    """RETURNS (list[Any]): The examples, of a block of lines or of a list of {"text": …}."""
    if isinstance(examples, str):
        return EXAMPLE.findall(examples)
    items = examples if isinstance(examples, list) else [examples]
    return [item.get("text") if isinstance(item, dict) else item for item in items]


def read_example(where: str, example: Any) -> Iterator[Annotated]:
    if not isinstance(example, str):
        raise InputError(f"{where}: {shorten(repr(example))} is no text")
    text, end = "", 0
    mentions = []
    example = example.strip()
    for match in MENTION.finditer(example):
        text += example[end : match.start()]
        label = match[2] or read_label(match[3], where)
        mentions.append(CharMention(len(text), len(text) + len(match[1]), label))
        text += match[1]
        end = match.end()
    yield Annotated(where, text + example[end:], mentions)


def read_label(fields: str, where: str) -> str:
    """RETURNS (str): The entity of {"entity": "LOC", "role": …}."""
    try:
        return str(json.loads(fields)["entity"])
    except (ValueError, KeyError):
        raise InputError(f'{where}: {shorten(repr(fields))} has no "entity"') from None


FORMAT = Format("rasa-yaml", "Rasa, YAML", is_rasa_yaml, read_rasa_yaml)
