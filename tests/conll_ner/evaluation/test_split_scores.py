"""The scores of one file: what the pipeline gets, and what is written."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from conll_ner.data.docs import read_docs, write_docs
from conll_ner.evaluation.seqeval_scores import copy_words
from conll_ner.evaluation.split_scores import evaluate_file
from token_ner import ScoredMention
from token_ner.span_scores import keep_scores

VOCAB = Vocab()


@Language.component("test_split_scores_of_one")
def add_scores(doc: Doc) -> Doc:
    """Give each mention a score of 1, as token_ner does."""
    found = [ScoredMention(ent.start, ent.end, ent.label_, 1.0) for ent in doc.ents]
    keep_scores(doc, "token_ner", found)
    return doc


def test_split_scores_keep_the_spaces_of_gold(tmp_path: Path) -> None:
    """Predicted text is gold's, and promises, which count mentions by characters, are kept."""
    nlp = spacy.blank("de")
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "CASE", "pattern": "Az. 12 C 77/23"}])
    gold = nlp("(Az. 12 C 77/23) (Az. 12 C 77/23)")
    made = {"confidence": 0.9, "share": 1.0, "gold": "x", "documents": 1, "date": "today"}
    nlp.meta["promises"] = {"precision": {"level": 1.0, "least": 0.0, **made}}
    nlp.add_pipe("test_split_scores_of_one")
    write_docs([gold], tmp_path / "dev.spacy")
    scored = evaluate_file(nlp, tmp_path / "dev.spacy", {}, predictions=tmp_path / "out.spacy")
    (predicted,) = read_docs(tmp_path / "out.spacy", VOCAB)
    assert predicted.text == gold.text
    assert [ent.text for ent in predicted.ents] == ["Az. 12 C 77/23"] * 2
    found = scored["promises"]["gold words"]["precision"]
    assert found == {"level": 1.0, "share": 1.0, "kept": True}
    words = Doc(VOCAB, words=["Az.", "12"])  # of a column file
    assert copy_words(words, nlp).has_unknown_spaces


def test_split_scores_ignore_mentions_of_words_without_a_label(tmp_path: Path) -> None:
    """As spaCy's scorer: nobody knows whether they are right."""
    nlp = spacy.blank("en")
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PER", "pattern": name} for name in ("Ada", "Grace", "Alan")])
    nlp.add_pipe("test_split_scores_of_one")
    gold = nlp.make_doc("Ada met Grace and Alan .")
    ada, grace = Span(gold, 0, 1, "PER"), gold[2:3]
    gold.set_ents([ada], missing=[grace], default="outside")
    write_docs([gold], tmp_path / "dev.spacy")
    scored = evaluate_file(nlp, tmp_path / "dev.spacy", {})
    for form in (scored["conlleval"]["overall"], scored["strict"]["overall"]):
        assert form["precision"] == 0.5  # Ada is right, Alan is wrong, Grace isn't counted
        assert form["recall"] == 1.0
    assert scored["by_document"] == [[1, 2, 1]]
    assert scored["raw_text"] == pytest.approx(2 / 3)
