"""Training text as users write it: without capitals, in capitals, with typos, without final
punctuation, and in the pipeline's own tokens. Needs spaCy only; raw text also needs sacremoses."""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from typing import Literal, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc, Token
from spacy.training import Example

from ..raw_text import detokenize, sentence_bounds
from .soft_labels import SoftLabels, get_soft_labels, set_soft_labels

Augmenter = Callable[[Language, Example], Iterator[Example]]
Unit = Literal["document", "sentence"]
TYPO_SHARE = 0.1  # of the words of a document with typos
TYPO_LETTERS = 4  # minimum length of a word with a typo
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
FINAL = ".!?"


class Shares(NamedTuple):
    """The share of documents or sentences that each change applies to."""

    lower: float
    upper: float
    typos: float
    no_final_punctuation: float
    raw: float


def create_text_augmenter(
    lower: float = 0.0,
    upper: float = 0.0,
    typos: float = 0.0,
    no_final_punctuation: float = 0.0,
    raw: float = 0.0,
    unit: Unit = "document",
    seed: int = 0,
) -> Augmenter:
    """A spaCy augmenter that changes a share of the training text. The changes are independent of
    each other, except that text is in lower case, in upper case, or as it is.

    lower (float): Share in lower case.
    upper (float): Share in upper case.
    typos (float): Share in which one in ten words of four or more letters has a typo.
    no_final_punctuation (float): Share without the full stops, question and exclamation marks that
        end sentences.
    raw (float): Share of documents that are detokenized and split by the pipeline's tokenizer.
        Applies to documents whose whitespace is unknown, as that of column files.
    unit (str): "document" or "sentence": what the first four apply to.
    seed (int): Seed of the random generator.
    RETURNS (Augmenter): The augmenter.
    RAISES (ValueError): If a share isn't from 0 to 1, or lower and upper exceed 1 together.
    """
    shares = Shares(lower, upper, typos, no_final_punctuation, raw)
    for name, share in shares._asdict().items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, not {share}")
    if lower + upper > 1:
        raise ValueError(f"lower and upper must not exceed 1 together: {lower} + {upper}")
    if unit not in ("document", "sentence"):
        raise ValueError(f'unit must be "document" or "sentence", not "{unit}"')
    return partial(augment_text, shares=shares, unit=unit, rng=random.Random(seed))


def augment_text(
    nlp: Language, example: Example, *, shares: Shares, unit: Unit, rng: random.Random
) -> Iterator[Example]:
    """YIELDS (Example): One example, changed or as it is."""
    gold = example.reference
    words = [token.text for token in gold]
    kept = [True] * len(words)
    bounds = sentence_bounds(gold) if unit == "sentence" else [(0, len(gold))]
    for start, end in bounds:
        change_words(words, start, end, shares, rng)
        if rng.random() < shares.no_final_punctuation:
            for i in final_punctuation(gold, start, end):
                kept[i] = False
    is_raw = gold.has_unknown_spaces and rng.random() < shares.raw
    if not any(kept):
        kept = [True] * len(words)
    if not is_raw and all(kept) and words == [token.text for token in gold]:
        yield example
        return
    changed = copy_gold(gold, words, kept)
    if is_raw:
        changed = detokenize(changed, nlp.lang)
    if changed.has_unknown_spaces:
        yield Example(Doc(nlp.vocab, words=[token.text for token in changed]), changed)
    else:
        yield Example(nlp.make_doc(changed.text), changed)


def change_words(
    words: list[str], start: int, end: int, shares: Shares, rng: random.Random
) -> None:
    """Change letter case and add typos in words[start:end], in place."""
    draw = rng.random()
    if draw < shares.lower:
        words[start:end] = [word.lower() for word in words[start:end]]
    elif draw < shares.lower + shares.upper:
        words[start:end] = [word.upper() for word in words[start:end]]
    if rng.random() < shares.typos:
        words[start:end] = [
            add_typo(word, rng) if gets_typo(word, rng) else word for word in words[start:end]
        ]


def gets_typo(word: str, rng: random.Random) -> bool:
    """RETURNS (bool): Whether a word gets a typo, as a tenth of the longer ones do."""
    return len(word) >= TYPO_LETTERS and word.isalpha() and rng.random() < TYPO_SHARE


def swap_letters(word: str, i: int) -> str:
    return word[:i] + word[i + 1] + word[i] + word[i + 2 :]


def add_typo(word: str, rng: random.Random) -> str:
    """RETURNS (str): The word with two letters swapped, or one missing, doubled or replaced; never
    the first one."""
    i = rng.randrange(1, len(word) - 1)
    kind = rng.choice(("swap", "delete", "double", "replace"))
    if kind == "swap":
        return swap_letters(word, i)
    if kind == "delete":
        return word[:i] + word[i + 1 :]
    if kind == "double":
        return word[: i + 1] + word[i:]
    letter = rng.choice(ALPHABET)
    return word[:i] + (letter.upper() if word[i].isupper() else letter) + word[i + 1 :]


def final_punctuation(doc: Doc, start: int, end: int) -> list[int]:
    """RETURNS (list[int]): Indices of the words in doc[start:end] that end a sentence with a full
    stop, question or exclamation mark and aren't in a mention. Where sentences are unknown, all
    such marks outside mentions."""
    known = doc.has_annotation("SENT_START")
    return [
        i
        for i in range(start, end)
        if doc[i].text in FINAL
        and not doc[i].ent_type_
        and (not known or i + 1 == len(doc) or doc[i + 1].is_sent_start)
    ]


def copy_gold(doc: Doc, words: Iterable[str], kept: Iterable[bool] | None = None) -> Doc:
    """Copy a document with other words. Sentence starts, mentions, missing labels and a teacher's
    distributions are kept.

    words (Iterable[str]): One per word of the document.
    kept (Iterable[bool] | None): Whether each word is kept; None keeps all.
    """
    keep = [True] * len(doc) if kept is None else list(kept)
    rows = [(token, word) for token, word, k in zip(doc, words, keep, strict=True) if k]
    spaces = None
    if not doc.has_unknown_spaces:
        # The whitespace after a dropped word moves to the word before it.
        indices = [*(token.i for token, _ in rows), len(doc)]
        spaces = [
            any(token.whitespace_ for token in doc[start:end]) for start, end in pairwise(indices)
        ]
    starts: list[bool | int | None] = [token.is_sent_start for token, _ in rows]
    copy = Doc(
        doc.vocab,
        words=[word for _, word in rows],
        spaces=spaces,
        sent_starts=starts if doc.has_annotation("SENT_START") else None,
        ents=[entity_label(token) for token, _ in rows],
    )
    soft = get_soft_labels(doc)
    if soft is not None:
        set_soft_labels(copy, SoftLabels(soft.labels, soft.probabilities[keep]))
    return copy


def entity_label(token: Token) -> str:
    """RETURNS (str): The IOB label of a token, as Doc takes it; empty where it is missing."""
    if token.ent_type_:
        return f"{token.ent_iob_}-{token.ent_type_}"
    return "O" if token.ent_iob else ""
