"""The command learn_more: what a pipeline learns more from."""

from pathlib import Path
from typing import Any

import pytest
import spacy
import typer
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab
from typer.testing import CliRunner

from conll_ner.data.docs import read_docs, write_docs
from conll_ner.training import learn_more
from conll_ner.training.rehearsal import complete, leave_open, sample_words
from token_ner import ScoredMention
from token_ner.span_scores import keep_scores

app = typer.Typer()
app.command()(learn_more.main)
WORDS = ["Ada", "Lin", "left", "New", "York", "for", "Oslo"]


@Language.component("test_learn_more_finds")
def find(doc: Doc) -> Doc:
    """What a trained pipeline would find, with its scores."""
    found = [ScoredMention(0, 2, "PER", 0.95), ScoredMention(3, 5, "LOC", 0.6)]
    found.append(ScoredMention(6, 7, "LOC", 0.9))
    doc.set_ents(keep_scores(doc, "token_ner", found if len(doc) == len(WORDS) else []))
    return doc


@pytest.fixture
def nlp() -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("test_learn_more_finds")
    return nlp


def labels(doc: Doc) -> list[str]:
    return [f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else t.ent_iob_ or "?" for t in doc]


def gold(nlp: Language, *mentions: tuple[int, int, str], missing: int | None = None) -> Doc:
    doc = Doc(nlp.vocab, words=WORDS)
    unknown = [] if missing is None else [doc[missing : missing + 1]]
    doc.set_ents([Span(doc, *m) for m in mentions], missing=unknown, default="outside")
    return doc


def test_types_that_are_not_annotated_are_found_by_the_pipeline(nlp: Language) -> None:
    (doc,) = complete(nlp, [gold(nlp, (5, 6, "X"), missing=2)])
    # New York is not certain enough; "left" stays unknown.
    assert labels(doc) == ["B-PER", "I-PER", "?", "?", "?", "B-X", "B-LOC"]


def test_types_that_are_annotated_are_left_as_they_are(nlp: Language) -> None:
    docs = complete(nlp, [gold(nlp, (6, 7, "LOC")), gold(nlp)])
    assert labels(docs[0]) == ["B-PER", "I-PER", "O", "O", "O", "O", "B-LOC"]
    assert labels(docs[1]) == ["B-PER", "I-PER", "O", "O", "O", "O", "O"]


def test_gold_wins_over_a_prediction_that_overlaps(nlp: Language) -> None:
    (doc,) = complete(nlp, [gold(nlp, (1, 3, "X"), (4, 6, "X"))])
    assert labels(doc) == ["O", "B-X", "I-X", "O", "B-X", "I-X", "B-LOC"]


def test_a_sample_has_at_least_as_many_words(nlp: Language) -> None:
    docs = [Doc(nlp.vocab, words=["w"] * n) for n in (5, 1, 7, 3)]
    for words in (0, 1, 6, 16, 99):
        sample = sample_words(docs, words, seed=0)
        total = sum(map(len, sample))
        assert total >= min(words, 16)
        assert not sample or total - len(sample[-1]) < words
        assert sample == sample_words(docs, words, seed=0)
    assert sample_words(docs, 9, 0) != sample_words(docs, 9, 1)


@pytest.mark.parametrize("missing", [None, 3])
def test_words_outside_old_mentions_are_left_open_in_a_copy(
    missing: int | None, nlp: Language
) -> None:
    doc = gold(nlp, (0, 2, "PER"), missing=missing)
    assert labels(leave_open([doc])[0]) == ["B-PER", "I-PER", *["?"] * 5]
    assert labels(doc) == ["B-PER", "I-PER", "O", "O" if missing is None else "?", "O", "O", "O"]


def run(*arguments: Any) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])
    return result.exit_code, result.stderr if result.exit_code else result.stdout


@pytest.mark.parametrize(("options", "n_old"), [([], 1), (["--rehearsal", "0"], 0)])
def test_new_documents_and_a_sample_of_the_old_ones(
    options: list[str], n_old: int, pipeline: Path, tmp_path: Path
) -> None:
    vocab = Vocab()
    new = Doc(vocab, words=WORDS, ents=["B-TOWN", *["O"] * 6])
    write_docs([new], tmp_path / "new.spacy")
    old = [Doc(vocab, words=WORDS, ents=["B-PER", *["O"] * 6]) for _ in range(3)]
    write_docs(old, tmp_path / "old.spacy")
    more = tmp_path / "more.spacy"
    code, printed = run(
        pipeline, tmp_path / "new.spacy", more, "--old", tmp_path / "old.spacy", *options
    )
    assert code == 0, printed
    docs = list(read_docs(more, vocab))
    assert len(docs) == 1 + n_old
    assert docs[0].ents[0].label_ == "TOWN"
    # "O" in the old documents doesn't say that a word is no TOWN.
    assert [labels(doc) for doc in docs[1:]] == [["B-PER", *["?"] * 6]] * n_old
    printed = " ".join(printed.split())
    assert f"1 new documents with 1 mentions and {len(docs[0].ents) - 1} that" in printed
    assert f"{n_old} old documents; new types: TOWN" in printed


def test_bad_input_is_one_line(pipeline: Path, tmp_path: Path) -> None:
    for arguments, words in [
        (("", tmp_path / "new.spacy", tmp_path / "more.spacy"), "name the pipeline that learns"),
        ((pipeline, tmp_path / "new.spacy", tmp_path / "more.txt"), "must end in .spacy"),
        ((pipeline, tmp_path / "new.spacy", tmp_path / "more.spacy"), "new.spacy: no such file"),
    ]:
        code, printed = run(*arguments)
        assert code == 1
        assert words in printed
        assert len(printed.splitlines()) == 1
