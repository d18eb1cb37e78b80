"""Words of all-capital sentences, such as headlines, in the letter case that they usually have. For
backbones whose tokenizer keeps case: they know "Bank" better than "BANK". Needs spaCy only."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import srsly
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model, deserialize_attr, serialize_attr

from .windows import Windowing, sentence_starts

TRUECASER = "truecaser"  # the attribute of a model that has one


class Truecaser:
    """Gives every word of an all-capital sentence the letter case that it had most often in the
    training data, as the package truecase does (Lita et al. 2003, by unigrams alone). Unknown
    words get a capital. It is saved with the model whose attribute it is.

    casings (dict[str, str]): Words as they are usually written, by the word in lower case. Without
        any, as in pipelines that were saved without them, nothing changes.
    is_collecting (bool): Whether the model waits for the casings of the training data.
    """

    def __init__(self) -> None:
        self.casings: dict[str, str] = {}
        self.is_collecting = False

    def collect(self, docs: Iterable[Doc]) -> None:
        """Take the casings from training text."""
        self.casings = count_casings(docs)
        self.is_collecting = False

    def truecase(self, words: Sequence[str]) -> list[str]:
        """RETURNS (list[str]): The words of an all-capital sentence, truecased; the first one gets
        a capital."""
        cased = [self.casings.get(w.lower(), w.title()) if has_case(w) else w for w in words]
        first = first_with_case(words)
        if cased[first].islower():
            cased[first] = cased[first].capitalize()
        return cased

    def find_changes(self, docs: Iterable[Doc]) -> dict[int, str]:
        """RETURNS (dict[int, str]): The words of all-capital sentences that truecasing changes, by
        their position among the words of all documents."""
        changes: dict[int, str] = {}
        position = 0
        for doc in docs:
            for words in split_sentences(doc):
                if is_all_capitals(words):
                    cased = enumerate(self.truecase(words), position)
                    changes |= {i: new for i, new in cased if new != words[i - position]}
                position += len(words)
        return changes


def split_sentences(doc: Doc) -> Iterator[list[str]]:
    """YIELDS (list[str]): The words of each sentence; of the document, if sentences are unknown."""
    words = [token.text for token in doc]
    for start, end in pairwise(sorted({0, *sentence_starts(doc).tolist(), len(words)})):
        yield words[start:end]


def has_case(word: str) -> bool:
    return word.lower() != word.upper()


def first_with_case(words: Sequence[str]) -> int:
    """RETURNS (int): The first word with letters, which has a capital whatever it is; the number of
    words if there is none."""
    return next((i for i, word in enumerate(words) if has_case(word)), len(words))


def is_all_capitals(words: Sequence[str]) -> bool:
    """RETURNS (bool): Whether at least two words of a sentence have letters, and all letters are
    capitals; those of a script without case aren't."""
    text = "".join(words)
    return (
        text.isupper()
        and sum(map(has_case, words)) > 1
        and not any(unicodedata.category(letter) == "Lo" for letter in text)
    )


def count_casings(docs: Iterable[Doc]) -> dict[str, str]:
    """RETURNS (dict[str, str]): The most frequent form of each word, by the word in lower case.
    Words that begin a sentence don't count, and neither do sentences without capitals or in
    capitals only: whatever they contain, its letter case says nothing."""
    counts: Counter[str] = Counter()
    for doc in docs:
        for words in split_sentences(doc):
            text = "".join(words)
            if text not in (text.lower(), text.upper()):
                counts.update(filter(has_case, words[first_with_case(words) + 1 :]))
    casings: dict[str, str] = {}
    for word in sorted(counts):  # so that of equal counts, lower case wins
        other = casings.get(word.lower())
        if other is None or counts[word] >= counts[other]:
            casings[word.lower()] = word
    return casings


def is_truecasing(model: Model[Any, Any]) -> bool:
    """RETURNS (bool): Whether a model has casings, and the config doesn't switch them off."""
    windowing: Windowing = model.attrs["windowing"]
    return bool(model.attrs[TRUECASER].casings) and windowing.truecase is not False


def find_changes(model: Model[Any, Any], docs: Iterable[Doc]) -> dict[int, str]:
    """RETURNS (dict[int, str]): `Truecaser.find_changes` of a model; none where it is off."""
    truecaser: Truecaser = model.attrs[TRUECASER]
    return truecaser.find_changes(docs) if is_truecasing(model) else {}


def collect_casings(
    model: Model[Any, Any],
    nlp: Language | None,
    get_examples: Callable[[], Iterable[Example]],
) -> None:
    """Give the training text to the truecasers that wait for it, in a component's model and in the
    pipeline: spacy-transformers gives a transformer no examples."""
    models = [model, *(getattr(pipe, "model", None) for _, pipe in (nlp.pipeline if nlp else ()))]
    for node in [n for m in models if isinstance(m, Model) for n in m.walk()]:
        truecaser = node.attrs.get(TRUECASER)  # another copy's model may have none
        if truecaser is not None and truecaser.is_collecting:
            truecaser.collect(eg.reference for eg in get_examples())


@serialize_attr.register(Truecaser)
def save_truecaser(_: Any, value: Truecaser, name: str, model: Model[Any, Any]) -> bytes:  # noqa: ARG001
    return srsly.msgpack_dumps(list(value.casings.values()))  # type: ignore[no-any-return]


@deserialize_attr.register(Truecaser)
def load_truecaser(_: Any, value: bytes, name: str, model: Model[Any, Any]) -> Truecaser:  # noqa: ARG001
    """RAISES (ValueError): If it isn't a list of words."""
    words = srsly.msgpack_loads(value)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("the saved casings are not a list of words")
    truecaser = Truecaser()
    truecaser.casings = {word.lower(): word for word in words}
    return truecaser
