"""The augmenter changes the wanted share of the text, and gold stays aligned with it."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example

from token_ner.training.augmentation import TYPO_LETTERS, add_typo, copy_gold, create_text_augmenter
from token_ner.training.shuffled_corpus import create_shuffled_corpus

NLP = spacy.blank("en")
WORDS = ["Ada", "Lindqvist", "left", "Varnholm", ".", "In", "1997-02-11", "Norden", "grew", "."]
LABELS = ["B-PER", "I-PER", "O", "B-LOC", "O", "O", "", "B-ORG", "O", "O"]
MENTIONS = [("Ada Lindqvist", "PER"), ("Varnholm", "LOC"), ("Norden", "ORG")]


def gold(spaces: list[bool] | None = None) -> Doc:
    starts: list[bool | int | None] = [i in (0, 5) for i in range(len(WORDS))]
    return Doc(NLP.vocab, words=WORDS, ents=LABELS, sent_starts=starts, spaces=spaces)


def example(doc: Doc) -> Example:
    return Example(Doc(doc.vocab, words=[token.text for token in doc]), doc)


def augment(doc: Doc | None = None, **settings: Any) -> Example:
    (changed,) = create_text_augmenter(**settings)(NLP, example(doc or gold()))
    return changed


def words(doc: Doc) -> list[str]:
    return [token.text for token in doc]


def mentions(doc: Doc) -> list[tuple[str, str]]:
    return [(ent.text, ent.label_) for ent in doc.ents]


def test_augmenter_without_shares_gives_the_same_example() -> None:
    eg = example(gold())
    (same,) = create_text_augmenter()(NLP, eg)
    assert same is eg


def test_augmenter_changes_case_and_keeps_gold() -> None:
    lower, upper = augment(lower=1.0), augment(upper=1.0)
    for eg in (lower, upper):
        assert words(eg.predicted) == words(eg.reference)
        labels = [
            f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else t.ent_iob_ for t in eg.reference
        ]
        assert labels == LABELS
        assert [t.is_sent_start for t in eg.reference] == [i in (0, 5) for i in range(len(WORDS))]
    assert words(lower.reference) == [word.lower() for word in WORDS]
    assert words(upper.reference) == [word.upper() for word in WORDS]


def test_augmenter_drops_final_punctuation_of_sentences() -> None:
    eg = augment(no_final_punctuation=1.0)
    assert words(eg.reference) == [word for word in WORDS if word != "."]
    assert mentions(eg.reference) == MENTIONS
    assert [token.i for token in eg.reference if token.is_sent_start] == [0, 4]


def test_augmenter_keeps_punctuation_in_mentions_and_inside_sentences() -> None:
    starts: list[bool | int | None] = [True, False, False, False, True, False]
    doc = Doc(
        NLP.vocab,
        words=["Yahoo", "!", ".", "fell", "Stop", "!"],
        ents=["B-ORG", "I-ORG", "O", "O", "O", "O"],
        sent_starts=starts,
    )
    assert words(augment(doc, no_final_punctuation=1.0).reference) == words(doc)[:-1]


def test_augmenter_makes_raw_text_with_the_tokens_of_the_pipeline() -> None:
    eg = augment(raw=1.0)
    assert eg.reference.text == "Ada Lindqvist left Varnholm. In 1997-02-11 Norden grew. "
    assert words(eg.predicted) == words(NLP.make_doc(eg.reference.text))
    assert len(eg.predicted) == len(eg.reference) + 4  # 1997 - 02 - 11
    assert eg.get_aligned_ner()[:4] == ["B-PER", "L-PER", "O", "U-LOC"]
    # The date's label is missing, and stays missing for all its parts.
    assert eg.get_aligned_ner()[6:11] == [None] * 5


def test_augmenter_leaves_a_document_of_punctuation_alone() -> None:
    doc = Doc(NLP.vocab, words=["!"], ents=["O"])
    assert words(augment(doc, no_final_punctuation=1.0).reference) == ["!"]


def test_augmenter_keeps_the_whitespace_of_documents_that_have_it() -> None:
    spaces = [True, True, True, False, True, True, True, True, False, False]
    eg = augment(gold(spaces), lower=1.0, raw=1.0, no_final_punctuation=1.0)
    assert eg.reference.text == "ada lindqvist left varnholm in 1997-02-11 norden grew"
    assert eg.predicted.text == eg.reference.text


LETTERS = st.characters(categories=["Lu", "Ll", "Lo"])


@given(st.text(LETTERS, min_size=TYPO_LETTERS, max_size=12), st.integers(0, 99))
def test_typo_keeps_the_first_letter_and_changes_at_most_one_place(word: str, seed: int) -> None:
    typo = add_typo(word, random.Random(seed))
    assert typo[0] == word[0]
    assert abs(len(typo) - len(word)) <= 1
    if len(typo) == len(word):
        assert sum(a != b for a, b in zip(typo, word, strict=True)) <= 2


def test_augmenter_adds_typos_to_a_tenth_of_the_longer_words() -> None:
    doc = Doc(NLP.vocab, words=["Lindqvist", "abc", "1997", "walked"] * 500)
    changed = words(augment(doc, typos=1.0).reference)
    differ = Counter(old for old, new in zip(words(doc), changed, strict=True) if old != new)
    assert set(differ) == {"Lindqvist", "walked"}
    assert 60 <= differ.total() <= 140  # of 1,000, some typos give the same word


@pytest.mark.parametrize("unit", ["document", "sentence"])
def test_augmenter_draws_for_each_unit(unit: str) -> None:
    augmenter = create_text_augmenter(lower=0.3, upper=0.2, unit=unit, seed=1)  # type: ignore[arg-type]
    drawn = Counter()  # type: ignore[var-annotated]
    mixed = 0
    for _ in range(400):
        (eg,) = augmenter(NLP, example(gold()))
        first, second = eg.reference[0].text, eg.reference[7].text
        drawn[first] += 1
        mixed += (first.islower(), first.isupper()) != (second.islower(), second.isupper())
    assert drawn["ada"] / 400 == pytest.approx(0.3, abs=0.07)
    assert drawn["ADA"] / 400 == pytest.approx(0.2, abs=0.07)
    assert (mixed > 0) == (unit == "sentence")


def test_augmenter_repeats_with_the_same_seed_only() -> None:
    def draw(seed: int) -> list[list[str]]:
        augmenter = create_text_augmenter(lower=0.5, typos=0.5, seed=seed)
        return [words(eg.reference) for _ in range(20) for eg in augmenter(NLP, example(gold()))]

    assert draw(3) == draw(3) != draw(4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lower": 1.5}, "lower must be from 0 to 1, not 1.5"),
        ({"raw": -0.1}, "raw must be from 0 to 1, not -0.1"),
        ({"lower": 0.6, "upper": 0.6}, "lower and upper must not exceed 1 together"),
        ({"unit": "word"}, 'unit must be "document" or "sentence", not "word"'),
    ],
)
def test_augmenter_rejects_impossible_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_text_augmenter(**settings)


labels = st.sampled_from(["O", "B-A", "I-A", "B-B", ""])


@given(
    st.lists(st.tuples(st.text("abC.", min_size=1, max_size=4), labels, st.booleans()), max_size=9),
    st.booleans(),
)
def test_copy_of_gold_with_the_same_words_is_equal(
    rows: list[tuple[str, str, bool]], has_spaces: bool
) -> None:
    texts, tags, spaces = map(list, zip(*rows, strict=True)) if rows else ([], [], [])
    doc = Doc(NLP.vocab, words=texts, ents=tags, spaces=spaces if has_spaces else None)
    copy = copy_gold(doc, words(doc))
    assert copy.text == doc.text
    attributes = ["ORTH", "ENT_IOB", "ENT_TYPE"]
    assert copy.to_array(attributes).tolist() == doc.to_array(attributes).tolist()  # type: ignore[arg-type]


def test_shuffled_corpus_has_all_documents_in_another_order_each_time(tmp_path: Path) -> None:
    docs = [Doc(NLP.vocab, words=[str(i)], ents=["O"]) for i in range(30)]
    path = tmp_path / "train.spacy"
    DocBin(docs=docs).to_disk(path)
    corpus = create_shuffled_corpus(path)
    orders = [[eg.text.strip() for eg in corpus(NLP)] for _ in range(2)]
    assert orders[0] != orders[1]
    plain = [eg.text.strip() for eg in Corpus(path)(NLP)]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(plain)
    with pytest.raises(ValueError, match="E913"):
        create_shuffled_corpus(None)
