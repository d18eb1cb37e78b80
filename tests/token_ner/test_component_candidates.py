"""Candidates in documents: all spans above a score, beside the mentions of the best sequence."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from tests.token_ner.component_helpers import mentions
from token_ner import Calibration, TokenNER, text_key

TEXT = "Ada Norden fell Varnholm left Bank Lindqvist here. The Norden Bank left Ada."
GROUP = "token_ner_candidates"


@pytest.fixture
def saved(trained: Language, tmp_path: Path) -> Path:
    trained.to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def load(saved: Path, **settings: Any) -> Language:
    return spacy.load(
        saved, config={f"components.token_ner.{key}": value for key, value in settings.items()}
    )


def head_of(nlp: Language) -> TokenNER:
    return nlp.get_pipe("token_ner")  # type: ignore[return-value]


def found(doc: Doc) -> list[tuple[int, int, str, float]]:
    group = doc.spans[GROUP]
    scores = group.attrs["scores"]
    return [(s.start, s.end, s.label_, score) for s, score in zip(group, scores, strict=True)]


def test_candidates_are_off_by_default(saved: Path) -> None:
    assert list(load(saved)(TEXT).spans) == []


def test_candidates_are_every_span_from_the_floor_on_with_the_mentions_among_them(
    saved: Path,
) -> None:
    low, high = (found(load(saved, candidates=floor)(TEXT)) for floor in (0.01, 0.1))
    assert high == [candidate for candidate in low if candidate[3] >= 0.1]
    assert 0 < len(high) < len(low)
    scores: dict[Any, float] = {candidate[:3]: candidate[3] for candidate in high}
    for *mention, score in mentions(load(saved)(TEXT)):
        assert scores[tuple(mention)] == pytest.approx(score)


def test_candidates_change_no_mention(saved: Path) -> None:
    assert mentions(load(saved, candidates=0.01)(TEXT)) == mentions(load(saved)(TEXT))


def test_candidates_below_the_threshold_of_mentions_stay(saved: Path) -> None:
    doc = load(saved, candidates=0.01, threshold=1.0)(TEXT)
    assert doc.ents == ()
    assert found(doc) == found(load(saved, candidates=0.01)(TEXT))


@pytest.mark.parametrize("unseen", [0.0, -1.0, 1.0])
def test_candidates_are_by_the_calibrated_score(saved: Path, unseen: float) -> None:
    fit = Calibration(0.7, 0.1, unseen, frozenset({text_key("Ada"), text_key("Norden Bank")}))
    doc = load(saved, candidates=0.001)(TEXT)
    scores = numpy.array([score for *_, score in found(doc)])
    calibrated = fit.apply(scores, [span.text for span in doc.spans[GROUP]])
    expected: list[Any] = [
        (start, end, label, pytest.approx(score))
        for (start, end, label, _), score in zip(found(doc), calibrated.tolist(), strict=True)
        if score >= 0.05
    ]
    nlp = load(saved, candidates=0.05)
    head_of(nlp).cfg["calibration"] = fit.to_settings()
    assert found(nlp(TEXT)) == expected
    assert len(expected) > len(nlp(TEXT).ents)


def test_floors_and_thresholds_by_type(saved: Path, tmp_path: Path) -> None:
    every = load(saved, candidates=0.01)(TEXT)
    nlp = load(saved)
    head = head_of(nlp)
    head.candidates, head.threshold = {"PER": 0.2, "LOC": 0.01}, {"PER": 0.9}
    assert head.thresholds == {"LOC": 0.0, "ORG": 0.0, "PER": 0.9}
    nlp.to_disk(tmp_path / "by_type")
    doc = spacy.load(tmp_path / "by_type")(TEXT)
    least = {"PER": 0.2, "LOC": 0.01, "ORG": 2.0}
    assert found(doc) == [c for c in found(every) if c[3] >= least[c[2]]]
    assert mentions(doc) == [m for m in mentions(every) if m[2] != "PER" or m[3] >= 0.9]


def test_candidates_are_saved_with_the_pipeline_and_the_document(
    saved: Path, tmp_path: Path
) -> None:
    nlp = load(saved, candidates=0.01)
    nlp.to_disk(tmp_path / "again")
    assert head_of(spacy.load(tmp_path / "again")).candidates == 0.01
    doc = nlp(TEXT)
    data = DocBin(docs=[doc], attrs=["ORTH"]).to_bytes()
    (read,) = DocBin().from_bytes(data).get_docs(nlp.vocab)
    assert found(read) == found(doc)


def test_candidates_of_an_earlier_prediction_are_replaced(saved: Path) -> None:
    doc = load(saved, candidates=0.01)(TEXT)
    assert found(load(saved, candidates=0.1)(doc)) == found(load(saved, candidates=0.1)(TEXT))
    assert GROUP not in load(saved)(doc).spans


def test_an_empty_document_has_no_candidates(saved: Path) -> None:
    nlp = load(saved, candidates=0.01)
    assert found(nlp("")) == found(nlp(" ")) == []


@pytest.mark.parametrize("value", [0.0009, 1.1, "0.1", {"PER": 0.0}, {"CITY": 0.5}])
def test_a_floor_that_makes_no_sense_is_refused(trained: Language, value: Any) -> None:
    with pytest.raises(ValueError, match="token_ner: candidates "):
        head_of(trained).candidates = value
