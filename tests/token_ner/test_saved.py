"""Pipelines that an earlier version saved still load, and give the same mentions and scores."""

import json

import pytest
import spacy
from spacy.language import Language

from tests.conftest import ROOT

KEPT = ROOT / "tests" / "data" / "pipeline-0.1.0"


@pytest.fixture(scope="module")
def kept() -> Language:
    import token_ner  # noqa: F401  to register the component

    return spacy.load(KEPT)


def test_saved_pipeline_of_0_1_0_gives_the_same(kept: Language) -> None:
    """Version 0.1.0 wrote the pipeline and the mentions; weights and text are invented."""
    rows = json.loads(KEPT.with_name("pipeline-0.1.0.json").read_text(encoding="utf-8"))
    assert sum(len(row["mentions"]) for row in rows) > 20
    for row in rows:
        ents = kept(row["text"]).ents
        expected = row["mentions"]
        found = [[e.text, e.label_, e.start_char, e.end_char] for e in ents]
        assert found == [mention[:4] for mention in expected]
        assert [e._.score for e in ents] == pytest.approx([m[4] for m in expected], abs=1e-5)


def test_saved_pipeline_is_small() -> None:
    """It is in the repository: under 200 kB."""
    assert sum(path.stat().st_size for path in KEPT.rglob("*") if path.is_file()) < 200_000
