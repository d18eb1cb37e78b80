"""From the words of a column file to text, and back."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise, starmap
from typing import Any, cast

from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.types import Ints2d

# Languages that are written without spaces between words.
UNSPACED = {"zh", "ja", "th", "lo", "km", "my"}


@cache
def load_moses(name: str, lang: str | None) -> Any:
    """RETURNS (Any): sacremoses's MosesTokenizer or MosesDetokenizer for a language.
    RAISES (ImportError): If sacremoses, which only these two need, is not installed."""
    try:
        import sacremoses
    except ImportError:
        raise ImportError(
            "raw text and Moses's words need sacremoses: pip install sacremoses", name="sacremoses"
        ) from None
    return getattr(sacremoses, name)(lang=lang)


def moses_doc(vocab: Vocab, text: str, lang: str | None) -> Doc:
    """RETURNS (Doc): The words of a text by Moses's rules, as most column files have them, without
    whitespace."""
    tokenizer = load_moses("MosesTokenizer", lang)
    lines = (line for line in text.splitlines() if line.strip())
    return Doc(vocab, [w for line in lines for w in tokenizer.tokenize(line, escape=False)])


def sentence_bounds(doc: Doc) -> list[tuple[int, int]]:
    """RETURNS (list[tuple[int, int]]): First word of each sentence and the word after its last;
    one pair if sentences are unknown."""
    if not doc.has_annotation("SENT_START"):
        return [(0, len(doc))]
    return [(sentence.start, sentence.end) for sentence in doc.sents]


def detokenize(doc: Doc, lang: str | None) -> Doc:
    """RETURNS (Doc): The same words and annotations, with spaces between the words by Moses's
    rules for a language, or by `is_spaced` for those of UNSPACED, and one between sentences."""
    spaces: list[bool] = []
    for start, end in sentence_bounds(doc):
        sentence = [token.text for token in doc[start:end]]
        if lang in UNSPACED:
            spaces += [*starmap(is_spaced, pairwise(sentence)), True]
        else:
            detokenizer = load_moses("MosesDetokenizer", lang)
            spaces += trailing_spaces(sentence, detokenizer.detokenize(sentence, unescape=False))
    attributes: list[int | str] = ["SENT_START", "ENT_IOB", "ENT_TYPE"]
    words = [token.text for token in doc]
    copy = Doc(doc.vocab, words=words, spaces=spaces, user_data=dict(doc.user_data))
    return copy.from_array(attributes, cast(Ints2d, doc.to_array(attributes)))


def is_spaced(before: str, after: str) -> bool:
    """RETURNS (bool): Whether a language of UNSPACED has a space between two words: only between
    Latin words or numbers. Two single characters are one word of a corpus that is split into
    characters."""
    latin = before[-1:].isascii() and after[:1].isascii()
    is_word = before[-1:].isalnum() and after[:1].isalnum()
    return latin and is_word and len(before) + len(after) > 2


def trailing_spaces(words: Sequence[str], text: str) -> list[bool]:
    """Find which words are followed by a space in a text.

    RETURNS (list[bool]): One per word, the last one True; all True if the text doesn't consist of
        these words.
    """
    spaces = []
    rest = text
    for word in words:
        if not rest.startswith(word):
            return [True] * len(words)
        rest = rest[len(word) :]
        spaces.append(rest.startswith(" "))
        rest = rest.lstrip(" ")
    return [*spaces[:-1], True] if not rest else [True] * len(words)
