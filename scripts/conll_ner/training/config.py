"""The config of a training, with the settings on the command line that override it."""

import re
from pathlib import Path
from typing import Any

from confection import Config
from spacy.cli._util import parse_config_overrides, show_validation_error
from spacy.util import load_config, registry

from conll_ner.common.console import InputError
from conll_ner.common.languages import blank_pipeline

REQUIRED_PATHS = ("train", "dev", "backbone")  # others, such as `vectors`, may be null
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


def load_checked_config(path: Path, overrides: dict[str, Any]) -> Config:
    """Load a config, not interpolated.

    RAISES (InputError): If a path in it is not set or doesn't exist, or the language's tokenizer
        or the logger needs a package that isn't installed.
    """
    with show_validation_error(path):
        config = load_config(path, overrides=overrides, interpolate=False)
    for name, value in config.interpolate()["paths"].items():
        if value is None and name in REQUIRED_PATHS:
            raise InputError(f"{path}: paths.{name} is not set; give --paths.{name} PATH")
        if value is not None and not Path(value).exists():
            raise InputError(f"--paths.{name}: {value} doesn't exist; run the step that creates it")
    blank_pipeline(config.interpolate()["nlp"]["lang"])
    if "training.logger.@loggers" in overrides:
        keep_given_settings(config["training"], overrides)
    check_logger(path, config)
    return config


def config_inputs(config: Config) -> list[Path]:
    """RETURNS (list[Path]): The files and folders that a training reads."""
    settings = config.interpolate()
    values = [*settings["paths"].values(), *settings["initialize"].values()]
    return [Path(value) for value in values if isinstance(value, str)]


def keep_given_settings(training: dict[str, Any], overrides: dict[str, Any]) -> None:
    """Drop a logger's settings that aren't overrides: they are those of the file's own logger."""
    logger = training["logger"]
    given = [name for name in logger if f"training.logger.{name}" in overrides]
    training["logger"] = {name: logger[name] for name in given}


def check_logger(path: Path, config: Config) -> None:
    """RAISES (InputError): If the training's logger needs a package that isn't installed."""
    logger = config.interpolate()["training"]["logger"]
    try:
        with show_validation_error(path, hint_fill=False):
            registry.resolve({"logger": logger})
    except ImportError as error:
        raise InputError(f"{logger['@loggers']}: {error}") from None
