"""Settings on the command line that override a config."""

import shlex

from weasel.util.config import _parse_overrides as weasel_overrides
from weasel.util.config import load_project_config

from conll_ner.training.config import read_overrides
from tests.conftest import ROOT


def test_reads_settings_as_the_project_passes_them() -> None:
    """The project's command line, as weasel reads it, and the script's, as the shell splits it."""
    options = "corpora.train.limit=95 training.logger.@loggers=a.Logger.v1 nlp.lang=de"
    read = weasel_overrides(["--vars.options", options], is_cli=True)
    project = load_project_config(ROOT, overrides=read)
    (line,) = next(c for c in project["commands"] if c["name"] == "train")["script"]
    words = shlex.split(line)
    settings = read_overrides(words[words.index("--device") + 2 :])
    assert settings["corpora.train.limit"] == 95
    assert settings["training.logger.@loggers"] == "a.Logger.v1"
    assert settings["nlp.lang"] == "de"


def test_takes_paths_with_an_equals_sign() -> None:
    read = read_overrides(["--paths.train", "data.v1/lang=de/train.spacy"])
    assert read == {"paths.train": "data.v1/lang=de/train.spacy"}


def test_takes_values_with_dashes_and_equals_signs() -> None:
    read = read_overrides(["paths.train=a--b/lang=de.spacy", "training.dropout=0.2"])
    assert read == {"paths.train": "a--b/lang=de.spacy", "training.dropout": 0.2}
    read = read_overrides(["--paths.train=a--b/lang=de.spacy", "--training.dropout=0.2"])
    assert read == {"paths.train": "a--b/lang=de.spacy", "training.dropout": 0.2}
