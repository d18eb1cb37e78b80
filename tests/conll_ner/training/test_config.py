"""Settings on the command line that override a config."""

import shlex
import shutil
from pathlib import Path

import pytest
from weasel.util.config import _parse_overrides as weasel_overrides
from weasel.util.config import load_project_config

from conll_ner.common.console import InputError
from conll_ner.training.config import load_checked_config, read_overrides
from conll_ner.training.loop import run_training
from conll_ner.training.state import State
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


CONFIG = ROOT / "configs" / "token_ner.cfg"


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    return {f"paths.{name}": str(tmp_path) for name in ("train", "dev", "backbone")}


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("training.max_epoch", 1, "is no setting of the config (did you mean max_epochs?)"),
        ("paths.taugth", "x", "is no setting of the config (did you mean taught?)"),
        ("nlp.lnag", "de", "is no setting of the config (did you mean lang?)"),
        ("paths.train", True, "True is no path"),
        ("system.seed", -1, "-1 is not a whole number from 0 to 4,294,967,295"),
        ("training.max_epochs", "abc", "abc is not a whole number from -1 to 1,000,000,000"),
        ("training.max_epochs", 1.5, "1.5 is not a whole number"),
        ("training.eval_frequency", 0, "0 is not a whole number from 1 to"),
        ("training.accumulate_gradient", 0, "0 is not a whole number from 1 to"),
        ("training.batcher.size", "abc", "abc is not a whole number from 1 to"),
        ("training.dropout", 2, "2 is not a number from 0.0 to 1.0"),
        ("training.optimizer.learn_rate.initial_rate", float("nan"), "nan is not a number"),
        ("corpora.train.limit", -3, "-3 is not a whole number from 0 to"),
        ("nlp.batch_size", 0, "0 is not a whole number from 1 to"),
        ("training.score_weights.ents_f", "x", "score_weights -> ents_f -> "),
        ("training.logger.@loggers", "x", "Could not find function 'x'"),
        ("training.optimizer.rate", 1, "optimizer -> rate"),
        ("nlp.lang", "${x.y}", "Config validation error"),
    ],
)
def test_a_wrong_setting_is_one_line(
    setting: str, value: object, problem: str, paths: dict[str, str]
) -> None:
    with pytest.raises(InputError) as error:
        load_checked_config(CONFIG, paths | {setting: value})
    assert problem in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_damaged_pipeline_to_start_from_is_named(
    pipeline: Path, paths: dict[str, str], tmp_path: Path
) -> None:
    mine = shutil.copytree(pipeline, tmp_path / "mine")
    (mine / "token_ner" / "model").write_bytes(b"x")
    with pytest.raises(InputError, match=r"mine.*token_ner/model"):
        load_checked_config(CONFIG, paths | {"paths.start_from": str(mine)})


def test_a_dropout_of_0_is_a_number(paths: dict[str, str]) -> None:
    """spaCy takes a whole number for a schedule, and fails at the first update."""
    config = load_checked_config(CONFIG, paths | read_overrides(["--training.dropout", "0"]))
    assert isinstance(config["training"]["dropout"], float)


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("components.token_ner.scheme", "x", "token_ner -> scheme"),
        ("components.token_ner.threshold", 7, "threshold must be from 0 to 1, not 7"),
        ("components.token_ner.factory", "x", "Can't find factory for 'x'"),
        ("nlp.pipeline", "x", "pipeline: Input should be a valid list"),
    ],
)
def test_a_wrong_setting_of_a_component_is_one_line(
    setting: str, value: object, problem: str, paths: dict[str, str], tmp_path: Path
) -> None:
    config = load_checked_config(CONFIG, paths | {setting: value, "training.max_epochs": 0})
    with pytest.raises(InputError) as error:
        run_training(config, tmp_path, -1, State({}))
    assert problem in str(error.value)
    assert len(str(error.value).splitlines()) == 1
