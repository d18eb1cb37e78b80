"""Presidio, in its own version of packages: docs/presidio.md, and what its recognisers give."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import spacy

from tests.conftest import ROOT
from tests.docs_helpers import blocks

pytestmark = pytest.mark.slow
# Presidio needs an older preshed than the lock, so these packages are beside the tests' own.
PACKAGES = (
    "presidio-analyzer==2.2.366",
    "presidio-anonymizer==2.2.366",
    "cryptography==50.0.2",
    "cffi==2.1.1",
    "phonenumbers==9.0.43",
    "tldextract==5.4.0",
    "requests-file==3.0.1",
)
TEXT = "Ada Lindqvist left Varnholm; write to ada@example.com."
COMPARE = """
import json, sys, spacy
from conll_ner.prediction.presidio import LABELS, TokenNERRecognizer, make_analyzer

path, text = sys.argv[1:]
given = {}
for candidates in (None, 0.1):
    analyzer = make_analyzer(path, candidates=candidates)
    alone = TokenNERRecognizer(path, candidates=candidates)
    for name, results in (
        ("engine", analyzer.analyze(text, language="en")),
        ("alone", alone.analyze(text, ["PERSON"], None)),
    ):
        given[f"{name} {candidates}"] = sorted(
            [r.start, r.end, r.entity_type, r.score] for r in results
        )
renamed = TokenNERRecognizer(spacy.load(path), {"PER": "WHO"})
given["renamed"] = renamed.supported_entities
print(json.dumps(given))
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("presidio")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--target", str(folder), *PACKAGES], check=True)
    return folder


def run(packages: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(packages)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=packages)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_presidio_gets_the_pipelines_scores(packages: Path, slim_pipeline: Path) -> None:
    given = json.loads(run(packages, "-c", COMPARE, str(slim_pipeline), TEXT))
    doc = spacy.load(slim_pipeline)(TEXT)
    names = {"PER": "PERSON", "LOC": "LOCATION", "ORG": "ORGANIZATION"}
    expected = sorted(
        [e.start_char, e.end_char, names.get(e.label_, e.label_), pytest.approx(e._.score)]
        for e in doc.ents
    )
    own = {*names.values(), "MISC"}
    assert expected
    # Presidio drops mentions that another one of its type contains: here there are none.
    assert [row for row in given["engine None"] if row[2] in own] == expected
    assert any(row[2] == "EMAIL_ADDRESS" for row in given["engine None"])
    assert given["alone None"] == [row for row in expected if row[2] == "PERSON"]
    assert len(given["alone 0.1"]) > len(given["alone None"])
    assert given["renamed"] == ["LOC", "MISC", "ORG", "WHO"]


def test_presidio_page_runs(packages: Path, slim_pipeline: Path) -> None:
    ((language, code),) = blocks(ROOT / "docs" / "presidio.md")
    assert language == "python"
    printed = run(packages, "-c", code.replace("en_ner_conll03_slim", str(slim_pipeline)))
    *rows, anonymized = printed.splitlines()
    assert "example.com URL 0.5" in rows
    assert "<" in anonymized
