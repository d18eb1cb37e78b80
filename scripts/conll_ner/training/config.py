"""The config of a training, with the settings on the command line that override it."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import spacy
from confection import Config, ConfigValidationError
from spacy.cli._util import parse_config_overrides
from spacy.language import Language
from spacy.schemas import ConfigSchemaNlp, ConfigSchemaTraining
from spacy.training import Example
from spacy.util import dot_to_object, load_config, registry, resolve_dot_names

from conll_ner.common.console import InputError, first_line, msg, shorten
from conll_ner.common.hub import is_hub_id
from conll_ner.common.languages import blank_pipeline
from conll_ner.common.options import MAX_SEED
from conll_ner.common.pipelines import load_pipeline
from conll_ner.common.variables import suggest
from conll_ner.training.backbone_defaults import download_config

MANY = 10**9
# Least and most; whole numbers where they are.
RANGES: dict[str, tuple[float, float]] = {
    "system.seed": (0, MAX_SEED),
    "training.max_epochs": (-1, MANY),
    "training.max_steps": (0, MANY),
    "training.patience": (0, MANY),
    "training.eval_frequency": (1, MANY),
    "training.accumulate_gradient": (1, MANY),
    "training.batcher.size": (1, MANY),
    "training.dropout": (0.0, 1.0),
    "training.optimizer.learn_rate.initial_rate": (0.0, 1.0),
    "nlp.batch_size": (1, MANY),
    "corpora.train.limit": (0, MANY),
    "corpora.dev.limit": (0, MANY),
}
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

    RAISES (InputError): If a path in it is not set or doesn't exist, the pipeline to start from is
        damaged, the language's tokenizer or the logger needs a package that isn't installed, or a
        setting of the training is wrong.
    """
    with one_line_errors(path):
        check_names(load_config(path, interpolate=False), overrides)
        config = load_config(path, overrides=overrides, interpolate=False)
        paths = config.interpolate()["paths"]
    for name, value in paths.items():
        if value is None and name in REQUIRED_PATHS:
            raise InputError(f"{path}: paths.{name} is not set; give --paths.{name} PATH")
        if value is not None and not isinstance(value, str):
            raise InputError(f"--paths.{name}: {value} is no path")
        if name == "backbone" and value is not None and is_hub_id(value, with_owner=False):
            download_config(value)  # which must be reachable
        elif value is not None and not Path(value).exists():
            raise InputError(f"--paths.{name}: {value} doesn't exist; run the step that creates it")
    blank_pipeline(config.interpolate()["nlp"]["lang"])
    if "training.logger.@loggers" in overrides:
        keep_given_settings(config["training"], overrides)
    check_numbers(config)
    check_training(path, config)
    if paths.get("start_from"):
        load_pipeline(paths["start_from"])  # which names the file that is damaged
    return config


def check_names(config: Config, overrides: Iterable[str]) -> None:
    """RAISES (InputError): If there is no such setting, which spaCy would ignore. Those of a
    function, such as training.logger.project_name, are checked when it is called."""
    schemas = {"training": ConfigSchemaTraining, "nlp": ConfigSchemaNlp}
    for setting in overrides:
        section, _, name = setting.partition(".")
        known = [*config.get(section, {}), *getattr(schemas.get(section), "model_fields", {})]
        if section in ("paths", "system", *schemas) and name.split(".")[0] not in known:
            raise InputError(f"--{setting} is no setting of the config{suggest(name, known)}")


@contextmanager
def one_line_errors(path: Path | str) -> Iterator[None]:
    """RAISES (InputError): Where spaCy raises an error about a config, with one line of it."""
    try:
        yield
    except InputError:
        raise
    except ConfigValidationError as error:
        first = next(iter(error.errors or [{"loc": (), "msg": error.title}]))
        places = filter(None, (error.parent, *first["loc"]))
        parts = filter(None, (str(path), " -> ".join(map(str, places)), shorten(first["msg"])))
        raise InputError(": ".join(parts)) from error
    except ValueError as error:
        raise InputError(f"{path}: {first_line(error)}") from error


def check_numbers(config: Config) -> None:
    """Check the numbers that spaCy doesn't check, and give it the dropout as it needs it.
    RAISES (InputError): If one is out of its range."""
    resolved = config.interpolate()
    for name, (least, most) in RANGES.items():
        try:
            value = dot_to_object(resolved, name)
        except KeyError:
            continue  # the config doesn't have this setting
        if value is None or isinstance(value, dict):
            continue
        kinds = (int, float) if isinstance(least, float) else (int,)
        if type(value) not in kinds or not least <= value <= most:
            what = "a number" if float in kinds else "a whole number"
            raise InputError(f"--{name} {value} is not {what} from {least:,} to {most:,}")
    if isinstance(config["training"].get("dropout"), int):
        config["training"]["dropout"] = float(config["training"]["dropout"])


def config_inputs(config: Config) -> list[Path]:
    """RETURNS (list[Path]): The files and folders that a training reads."""
    settings = config.interpolate()
    values = [*settings["paths"].values(), *settings["initialize"].values()]
    return [Path(value) for value in values if isinstance(value, str)]


def check_mentions(config: Config) -> None:
    """Warn of labels in dev that train lacks.

    RAISES (InputError): If dev or train has no mention, or can't be read. A train that is streamed
        isn't read.
    """
    resolved = config.interpolate()
    nlp = spacy.blank(resolved["nlp"]["lang"])
    names = [resolved["training"][f"{split}_corpus"] for split in ("dev", "train")]
    dev, train = (read_labels(c, nlp) for c in resolve_dot_names(resolved, names))
    missing = Counter(label for labels in dev for label in labels)
    if not missing:
        raise InputError(f"{names[0]} has no mention: there is nothing to score")
    if resolved["training"]["max_epochs"] < 0:
        return
    is_empty = True
    for labels in train:
        is_empty = is_empty and not labels
        for label in labels:
            del missing[label]
        if not missing:
            return
    if is_empty:
        raise InputError(f"{names[1]} has no mention: there is nothing to learn")
    listed = ", ".join(f"{shorten(label)} {n:,}" for label, n in sorted(missing.items()))
    msg.warn(f"{names[1]} lacks labels of {names[0]}, whose mentions can't be learnt: {listed}")


def read_labels(
    corpus: Callable[[Language], Iterable[Example]], nlp: Language
) -> Iterator[list[str]]:
    """YIELDS (list[str]): The labels of the mentions of each document.
    RAISES (InputError): If the corpus can't be read."""
    try:
        for eg in corpus(nlp):
            yield [ent.label_ for ent in eg.reference.ents]
    except Exception as error:  # zlib, msgpack, a missing key or numpy: the file is broken
        raise InputError(
            f"the corpus can't be read: {first_line(error)}; convert it again"
        ) from error


def keep_given_settings(training: dict[str, Any], overrides: dict[str, Any]) -> None:
    """Drop a logger's settings that aren't overrides: they are those of the file's own logger."""
    logger = training["logger"]
    given = [name for name in logger if f"training.logger.{name}" in overrides]
    training["logger"] = {name: logger[name] for name in given}


def check_training(path: Path, config: Config) -> None:
    """RAISES (InputError): If a setting of [training] is wrong, or the logger needs a package that
    isn't installed."""
    training = config.interpolate()["training"]
    try:
        with one_line_errors(path):
            registry.resolve(training, schema=ConfigSchemaTraining)
    except ImportError as error:
        raise InputError(f"{training['logger']['@loggers']}: {error}") from None
