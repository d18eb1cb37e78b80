"""spaCy's own commands: the entry points are enough."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.util import load_config, registry
from spacy.vocab import Vocab

import token_ner
from conll_ner.data.docs import read_gold, write_docs
from tests.conftest import ROOT, SAMPLE
from tests.token_ner.support import run_cases

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
import json, sys
from spacy.cli import app
app(arguments, prog_name="spacy", standalone_mode=False)
import token_ner
from token_ner.component import TokenNER
print(json.dumps([token_ner.__file__, TokenNER.__module__]))
"""


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.cfg")), ids=lambda path: path.stem)
def test_configs_keep_the_learning_rate_in_plain_spacy_train(config: Path) -> None:
    """It doesn't plan the number of steps: 30 of a small corpus, or 100,000."""
    section = load_config(config).interpolate()["training"]["optimizer"]["learn_rate"]
    schedule = registry.resolve({"learn_rate": section})["learn_rate"]
    first, *rates = islice(schedule, 10, 100_000)
    assert first == section["initial_rate"]  # after a short warm-up
    assert min(rates) >= 0.99 * first


@pytest.mark.slow
def test_code_spacy_train_evaluate_and_assemble(tiny_backbone: Path, tmp_path: Path) -> None:
    for split, name in (("train", "train"), ("valid", "dev")):
        write_docs(read_gold(SAMPLE / f"{split}.txt", Vocab()), tmp_path / f"{name}.spacy")
    paths = ["--paths.train", str(tmp_path / "train.spacy"), "--paths.dev"]
    paths += [str(tmp_path / "dev.spacy"), "--paths.backbone", str(tiny_backbone)]
    steps = ["--training.max_steps", "4", "--training.eval_frequency", "2"]
    commands = [
        ["train", str(CONFIGS / "token_ner.cfg"), "--output", "trained", *paths, *steps],
        ["evaluate", "trained/model-best", "dev.spacy", "--output", "scores.json"],
        ["assemble", "assembled.cfg", "assembled"],
    ]
    (tmp_path / "assembled.cfg").write_text(ASSEMBLED, encoding="utf-8")
    cases: list[dict[str, Any]] = [
        {"code": COMMAND, "arguments": command, "path": []} for command in commands
    ]
    result = run_cases(cases, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith('["')]
    assert rows == [[token_ner.__file__, "token_ner.component"]] * 3
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    trained = spacy.load(tmp_path / "trained" / "model-best")
    dev = trained.meta["performance"]
    assert scores["ents_f"] == pytest.approx(dev["ents_f"], abs=0.02)
    assert trained.pipe_names == ["sentencizer", "transformer", "token_ner"]
    assembled = spacy.load(tmp_path / "assembled")
    assert assembled.pipe_names == ["sentencizer", "transformer", "token_ner", "cleaner"]
    text = "Ada Lindqvist left Varnholm."
    found = [
        [(e.text, e.label_, e._.score) for e in nlp(text).ents] for nlp in (trained, assembled)
    ]
    assert found[0] == found[1]
