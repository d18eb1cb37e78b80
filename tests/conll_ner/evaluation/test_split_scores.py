"""The scores of one file: what the pipeline gets, and what is written."""

from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
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
