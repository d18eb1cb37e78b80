"""F1 on raw text: gold documents, detokenized and then tokenized by the pipeline."""

from collections.abc import Iterable, Sequence

from sacremoses import MosesDetokenizer
from spacy.language import Language
from spacy.tokens import Doc, Span

from scoring.bootstrap import f1_score

CharMention = tuple[int, int, str]  # start and end character, type


def detokenize(doc: Doc, detokenizer: MosesDetokenizer) -> Doc:
    """RETURNS (Doc): The same words and mentions, with spaces by the rules of Moses, and a space
    between sentences."""
    spaces: list[bool] = []
    for sentence in sentence_words(doc):
        spaces += trailing_spaces(sentence, detokenizer.detokenize(sentence, unescape=False))
    return replace_words(doc, (token.text for token in doc), spaces)


def sentence_words(doc: Doc) -> list[list[str]]:
    """RETURNS (list[list[str]]): The words of each sentence; one list if sentences are unknown."""
    if not doc.has_annotation("SENT_START"):
        return [[token.text for token in doc]]
    return [[token.text for token in sentence] for sentence in doc.sents]


def trailing_spaces(words: Sequence[str], text: str) -> list[bool]:
    """Find the words that are followed by a space in a text.

    RETURNS (list[bool]): A value for each word. The last one is True; all are True if the text
        doesn't consist of these words.
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


def char_mentions(doc: Doc) -> set[CharMention]:
    return {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}


def score_raw(nlp: Language, gold: Sequence[Doc]) -> dict[str, float]:
    """Score a pipeline on detokenized documents, comparing mentions by character offsets.

    RETURNS (dict[str, float]): `f1`, and `unreachable`, the share of gold mentions that start or
        end inside a token of the pipeline, so that it can't predict them.
    """
    detokenizer = MosesDetokenizer(lang=nlp.lang)
    texts = [detokenize(doc, detokenizer) for doc in gold]
    counts, unreachable = [], 0
    for doc, predicted in zip(texts, nlp.pipe(doc.text for doc in texts), strict=True):
        expected, found = char_mentions(doc), char_mentions(predicted)
        counts.append([len(expected & found), len(found), len(expected)])
        unreachable += sum(predicted.char_span(*mention[:2]) is None for mention in expected)
    right, n_predicted, n_gold = zip(*counts, strict=True)
    return {
        "f1": float(f1_score(right, n_predicted, n_gold)),
        "unreachable": unreachable / max(1, sum(n_gold)),
    }


def replace_words(doc: Doc, words: Iterable[str], spaces: list[bool] | None = None) -> Doc:
    """RETURNS (Doc): A copy with other words or spaces, and the same mentions."""
    copy = Doc(doc.vocab, words=list(words), spaces=spaces)
    copy.set_ents([Span(copy, ent.start, ent.end, label=ent.label_) for ent in doc.ents])
    return copy
