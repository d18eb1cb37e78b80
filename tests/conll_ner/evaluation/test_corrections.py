"""Corrections of gold: made of mistakes, and applied to the file that they were made of."""

import json
from pathlib import Path
from typing import Any

import pytest
import spacy
import typer
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab
from typer.testing import CliRunner, Result

from conll_ner.common.files import sha256
from conll_ner.data.docs import read_docs, write_docs
from conll_ner.evaluation import correct
from conll_ner.evaluation.corrections import correction_of
from conll_ner.evaluation.mistakes import find_mistakes

app = typer.Typer()
app.command()(correct.main)
WORDS = ["Ada", "Lin", "left", "New", "York", "."]
GOLD = ["B-PER", "O", "O", "B-ORG", "O", ""]
NLP = spacy.blank("en")


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.spacy"
    docs = [Doc(NLP.vocab, words=["Oslo"], ents=["O"]), Doc(NLP.vocab, words=WORDS, ents=GOLD)]
    write_docs(docs, path)
    return path


def run(gold: Path, *corrections: dict[str, Any]) -> Result:
    file = gold.with_name("corrections.jsonl")
    file.write_text("".join(json.dumps(correction) + "\n" for correction in corrections))
    arguments = [gold, file, gold.with_name("new.spacy")]
    return CliRunner().invoke(app, list(map(str, arguments)))


def correction(gold: Path, document: int, old: Any, new: Any) -> dict[str, Any]:
    return {"sha256": sha256(gold), "document": document, "gold": old, "right": new}


def mentions(path: Path) -> list[list[tuple[str, str]]]:
    return [[(e.text, e.label_) for e in doc.ents] for doc in read_docs(path, Vocab())]


def test_mentions_are_changed_added_and_removed(gold: Path) -> None:
    result = run(
        gold,
        correction(gold, 2, [0, 1, "PER"], [0, 2, "PER"]),
        correction(gold, 2, [3, 4, "ORG"], None),
        correction(gold, 2, None, [3, 5, "LOC"]),
        correction(gold, 1, None, [0, 1, "LOC"]),
    )
    assert result.exit_code == 0, result.output
    assert mentions(gold.with_name("new.spacy")) == [
        [("Oslo", "LOC")],
        [("Ada Lin", "PER"), ("New York", "LOC")],
    ]
    _, doc = read_docs(gold.with_name("new.spacy"), Vocab())
    assert [token.ent_iob for token in doc][-1] == 0  # still unknown
    assert mentions(gold) == [[], [("Ada", "PER"), ("New", "ORG")]]


def test_overlapping_mentions_are_corrected_too(gold: Path) -> None:
    _, doc = read_docs(gold, NLP.vocab)
    spans = [Span(doc, 0, 1, "PER"), Span(doc, 3, 4, "ORG"), Span(doc, 3, 6, "LOC")]
    doc.spans["gold"] = spans
    write_docs([Doc(NLP.vocab, words=["Oslo"]), doc], gold)
    changes = ([0, 1, "PER"], [0, 2, "PER"]), ([3, 4, "ORG"], None)
    assert run(gold, *(correction(gold, 2, *change) for change in changes)).exit_code == 0
    _, new = read_docs(gold.with_name("new.spacy"), Vocab())
    kept = [(span.text, span.label_) for span in new.spans["gold"]]
    assert kept == [("Ada Lin", "PER"), ("New York .", "LOC")]


def test_corrections_of_all_mistakes_give_the_prediction(gold: Path) -> None:
    _, doc = read_docs(gold, NLP.vocab)
    predicted = Doc(NLP.vocab, words=WORDS)
    predicted.set_ents([Span(predicted, 0, 2, "ORG"), Span(predicted, 4, 5, "LOC")])
    made = [correction_of(m, 2, sha256(gold))._asdict() for m in find_mistakes(doc, predicted)]
    assert run(gold, *made).exit_code == 0
    assert mentions(gold.with_name("new.spacy"))[1] == [("Ada Lin", "ORG"), ("York", "LOC")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "0"}, "none of its 1 corrections is of this gold file as it is now"),
        ({"document": 3}, "there is no document 3"),
        ({"gold": [0, 1, "LOC"]}, "document 2 has no mention (0, 1, 'LOC')"),
        ({"right": [0, 4, "PER"]}, "document 2: two mentions overlap"),
        ({"right": [0, 9, "PER"]}, "document 2 has 6 words, not the mention (0, 9, 'PER')"),
        ({"right": [0, 1]}, "corrections.jsonl:1: right is [0, 1], not [start, end, label]"),
        ({"right": 5}, "corrections.jsonl:1: right is 5, not [start, end, label]"),
        ({"right": [0, 1, "\x1b"]}, "corrections.jsonl:1, right: the label contains the character"),
        ({"document": "2"}, "corrections.jsonl:1: the field \"document\" is '2'"),
    ],
)
def test_corrections_that_do_not_fit_are_one_line(
    change: dict[str, Any], words: str, gold: Path
) -> None:
    result = run(gold, correction(gold, 2, [0, 1, "PER"], [0, 2, "PER"]) | change)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not gold.with_name("new.spacy").exists()
