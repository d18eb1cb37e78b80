"""Pickle, and what needs it: processes that are spawned, the default on macOS and Windows."""

import json
import pickle
import subprocess
import sys

import pytest
import spacy
from spacy.tokens import Doc

import token_ner  # noqa: F401  to register the component
from tests.conftest import ROOT

KEPT = ROOT / "tests" / "data" / "pipeline"
TEXTS = ["Ada Lindqvist left Varnholm.", "", "The Norden Bank fell."] * 4
PROGRAM = """
import json, multiprocessing, sys
sys.path.insert(0, sys.argv[1])
import spacy

def found(docs):
    return [[(e.text, e.label_, e._.score) for e in doc.ents] for doc in docs]

if __name__ == "__main__":
    import token_ner
    nlp = spacy.load(sys.argv[2])
    texts = json.loads(sys.argv[3])
    result = {"one": found(nlp.pipe(texts, batch_size=3))}
    for method in ("fork", "spawn", "forkserver"):
        multiprocessing.set_start_method(method, force=True)
        result[method] = found(nlp.pipe(texts, batch_size=3, n_process=2))
    print(json.dumps(result))
"""
Found = list[list[tuple[str, str, float]]]


def found(docs: list[Doc]) -> Found:
    return [[(e.text, e.label_, e._.score) for e in doc.ents] for doc in docs]


def test_pickle_keeps_mentions_and_scores() -> None:
    nlp = spacy.load(KEPT)
    again = pickle.loads(pickle.dumps(nlp))
    expected = found(list(nlp.pipe(TEXTS)))
    assert sum(map(len, expected)) > 8
    assert found(list(again.pipe(TEXTS))) == expected


@pytest.mark.slow
def test_pickle_two_processes_by_every_start_method() -> None:
    program = ROOT / "scripts"
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(program), str(KEPT), json.dumps(TEXTS)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout.splitlines()[-1])
    assert sum(map(len, rows["one"])) > 8
    for method in ("fork", "spawn", "forkserver"):
        assert rows[method] == rows["one"], method  # the batches are the same, so are the scores
