"""Raw and perturbed text: mentions are kept, and scores are correct."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import spacy
import typer
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from typer.testing import CliRunner

from conll_ner.evaluation import robustness
from conll_ner.evaluation.perturbations import PERTURBATIONS
from conll_ner.evaluation.raw_text_scores import annotate_raw, score_raw
from token_ner import detokenize
from token_ner.raw_text import trailing_spaces

NLP = spacy.blank("en")
LABELS = ["B-PER", "I-PER", "O", "O", "O", "B-LOC", "O", "O", "O", "B-ORG", "O"]
WORDS = ["Ada", "Lindqvist", "'s", "bank", "(", "Varnholm", ")", "fell", ".", "Norden", "rose"]


def gold() -> Doc:
    starts: list[bool | int | None] = [i in (0, 9) for i in range(len(WORDS))]
    return Doc(NLP.vocab, words=WORDS, ents=LABELS, sent_starts=starts)


def mentions(doc: Doc) -> list[tuple[str, str]]:
    return [(ent.text, ent.label_) for ent in doc.ents]


def test_detokenized_document_has_natural_spaces() -> None:
    doc = detokenize(gold(), "en")
    assert doc.text == "Ada Lindqvist's bank (Varnholm) fell. Norden rose "
    assert mentions(doc) == [("Ada Lindqvist", "PER"), ("Varnholm", "LOC"), ("Norden", "ORG")]


@given(st.lists(st.text(min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=12))
def test_detokenized_document_keeps_all_words(words: list[str]) -> None:
    doc = detokenize(Doc(NLP.vocab, words=words), "en")
    assert [token.text for token in doc] == words


def test_trailing_spaces_of_another_text_are_all_true() -> None:
    assert trailing_spaces(["a", "b", "."], "a b.") == [True, False, True]
    assert trailing_spaces(["a", "b"], "a c") == [True, True]
    assert trailing_spaces(["a", "b"], "a b c") == [True, True]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("all lower case", "ada lindqvist 's bank ( varnholm ) fell . norden rose"),
        ("ALL UPPER CASE", "ADA LINDQVIST 'S BANK ( VARNHOLM ) FELL . NORDEN ROSE"),
        ("no final punctuation", "Ada Lindqvist 's bank ( Varnholm ) fell Norden rose"),
    ],
)
def test_perturbations(name: str, expected: str) -> None:
    doc = PERTURBATIONS[name](gold(), random.Random(0))
    assert " ".join(token.text for token in doc) == expected
    assert [(text.lower(), label) for text, label in mentions(doc)] == [
        ("ada lindqvist", "PER"),
        ("varnholm", "LOC"),
        ("norden", "ORG"),
    ]


def test_typos_are_in_a_tenth_of_long_words_and_reproducible() -> None:
    words = ["newspaper", "the", "1996", "Ada"] * 500
    doc = Doc(NLP.vocab, words=words)
    typed = [
        [token.text for token in PERTURBATIONS["typos"](doc, random.Random(0))] for _ in range(2)
    ]
    assert typed[0] == typed[1]
    changed = [(a, b) for a, b in zip(words, typed[0], strict=True) if a != b]
    assert 30 <= len(changed) <= 70
    for before, after in changed:
        assert before == "newspaper"
        assert sorted(before) == sorted(after)
        assert after[0] == "n"


def test_raw_text_is_scored_by_character_offsets() -> None:
    """Mentions match by character offsets although gold words and spaCy's tokens differ."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "LOC", "pattern": "Varnholm"}])  # type: ignore[attr-defined]
    words = ["(", "Varnholm", ")", "is", "n't", "Oslo", "."]
    doc = Doc(nlp.vocab, words=words, ents=["O", "B-LOC", "O", "O", "O", "B-LOC", "O"])
    assert score_raw(*annotate_raw(nlp, [doc])) == {"f1": pytest.approx(2 / 3), "unreachable": 0.0}
    # If the tokenizer only splits at spaces, "(Varnholm)" and "Oslo." are one token each.
    tokenizer: Any = nlp.tokenizer
    nlp.tokenizer = type(tokenizer)(nlp.vocab)
    assert score_raw(*annotate_raw(nlp, [doc])) == {"f1": 0.0, "unreachable": 1.0}


def test_robustness_command(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(robustness.main)
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "LOC", "pattern": "Varnholm"}])  # type: ignore[attr-defined]
    nlp.to_disk(tmp_path / "rules")
    file = tmp_path / "dev.txt"
    file.write_text("Varnholm B-LOC\nfell O\n. O\n", encoding="utf-8")
    output = tmp_path / "out.json"
    arguments = [str(tmp_path / "rules"), str(file), "--output", str(output), "--device", "cpu"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    scores = json.loads(output.read_text(encoding="utf-8"))["dev"]
    assert {name: scores[name] for name in ("gold tokens", "raw text", *PERTURBATIONS)} == {
        "gold tokens": 1.0,
        "raw text": 1.0,
        "all lower case": 0.0,  # the rule is cased
        "ALL UPPER CASE": 0.0,
        "no final punctuation": 1.0,
        "typos": 1.0,
    }
    file.write_text("fell O\n", encoding="utf-8")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "contains no mentions, so F1 is undefined" in result.stderr
