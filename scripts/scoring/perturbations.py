"""F1 on text in other case, without final punctuation, and with typos; gold tokens are kept."""

import random
from collections.abc import Callable, Sequence

from spacy.language import Language
from spacy.tokens import Doc, Span

from scoring.bootstrap import count_by_document, f1_score
from scoring.raw_text import replace_words, score_raw
from scoring.scores import annotate_gold

TYPO_SHARE = 0.1  # of the words that are long enough
TYPO_LETTERS = 4  # fewest letters of a word that gets a typo
FINAL = ".!?"
SEED = 0
Perturb = Callable[[Doc, random.Random], Doc]


def lower(doc: Doc, _: random.Random) -> Doc:
    return replace_words(doc, (token.text.lower() for token in doc))


def upper(doc: Doc, _: random.Random) -> Doc:
    return replace_words(doc, (token.text.upper() for token in doc))


def without_final(doc: Doc, _: random.Random) -> Doc:
    """RETURNS (Doc): Without the full stop, question or exclamation mark at a sentence's end, if
    it isn't in a mention; without any outside mentions where sentences are unknown."""
    starts = doc.has_annotation("SENT_START")
    kept = [
        token.i
        for token in doc
        if token.text not in FINAL
        or token.ent_type_
        or (starts and token.i + 1 < len(doc) and not doc[token.i + 1].is_sent_start)
    ]
    place = {old: new for new, old in enumerate(kept)}
    copy = Doc(doc.vocab, words=[doc[i].text for i in kept])
    copy.set_ents(
        [Span(copy, place[e.start], place[e.end - 1] + 1, label=e.label_) for e in doc.ents]
    )
    return copy


def with_typos(doc: Doc, rng: random.Random) -> Doc:
    """RETURNS (Doc): In a tenth of the longer words two neighbouring letters, not the first,
    change places."""

    def mistype(word: str) -> str:
        if len(word) < TYPO_LETTERS or not word.isalpha() or rng.random() >= TYPO_SHARE:
            return word
        i = rng.randrange(1, len(word) - 1)
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]

    return replace_words(doc, (mistype(token.text) for token in doc))


PERTURBATIONS: dict[str, Perturb] = {
    "all lower case": lower,
    "ALL UPPER CASE": upper,
    "no final punctuation": without_final,
    "typos": with_typos,
}


def f1_on_tokens(nlp: Language, gold: Sequence[Doc]) -> float:
    right, n_predicted, n_gold = zip(
        *count_by_document(gold, annotate_gold(nlp, gold)), strict=True
    )
    return float(f1_score(right, n_predicted, n_gold))


def score_forms(nlp: Language, gold: Sequence[Doc]) -> dict[str, float]:
    """RETURNS (dict[str, float]): F1 on gold tokens, on raw text, and for each perturbation; and
    `unreachable` of score_raw."""
    raw = score_raw(nlp, gold)
    result = {"gold tokens": f1_on_tokens(nlp, gold), "raw text": raw["f1"]}
    for name, perturb in PERTURBATIONS.items():
        rng = random.Random(SEED)
        result[name] = f1_on_tokens(nlp, [perturb(doc, rng) for doc in gold])
    return result | {"unreachable": raw["unreachable"]}
