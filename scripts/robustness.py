"""What an app sees: raw text in place of gold tokens, and text that isn't like the corpus's.

Raw text is the documents detokenised, cut into words by the pipeline's own tokenizer, and
mentions are compared by characters. The perturbations keep gold tokens, so that what they cost
is the recogniser's own.
"""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from sacremoses import MosesDetokenizer
from spacy.language import Language
from spacy.tokens import Doc, Span

from bootstrap import count_by_document, f1_score
from console import InputError, clear_errors, msg
from convert import read_gold
from evaluate import load_on_device, predict
from files import sha256, written_aside

TYPO_SHARE = 0.1  # of the words that are long enough
TYPO_LETTERS = 4  # fewest letters of a word that gets a typo
FINAL = ".!?"
SEED = 0

Perturb = Callable[[Doc, random.Random], Doc]
CharMention = tuple[int, int, str]  # start and end character, type


# --- Raw text ---


def detokenize(doc: Doc, detokenizer: MosesDetokenizer) -> Doc:
    """RETURNS (Doc): The same words and mentions, with the blanks between words that Moses's
    rules put; between sentences one."""
    spaces: list[bool] = []
    for sentence in sentences(doc):
        spaces += blanks(sentence, detokenizer.detokenize(sentence, unescape=False))
    return replace_words(doc, (token.text for token in doc), spaces)


def sentences(doc: Doc) -> list[list[str]]:
    """RETURNS (list[list[str]]): The words of each sentence; of all if sentences are unknown."""
    if not doc.has_annotation("SENT_START"):
        return [[token.text for token in doc]]
    return [[token.text for token in sentence] for sentence in doc.sents]


def blanks(words: Sequence[str], text: str) -> list[bool]:
    """Read off a text where a blank follows a word.

    RETURNS (list[bool]): One a word, the last True; all True if the text isn't these words.
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
    """Score a pipeline on the text of documents.

    RETURNS (dict[str, float]): `f1`; `unreachable`, the share of gold mentions that begin or end
        within a word of the pipeline's tokenizer, so that none could find them.
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


# --- Perturbations: of gold tokens, mentions kept ---


def replace_words(doc: Doc, words: Iterable[str], spaces: list[bool] | None = None) -> Doc:
    """RETURNS (Doc): Other words, or blanks between them, the same mentions."""
    copy = Doc(doc.vocab, words=list(words), spaces=spaces)
    copy.set_ents([Span(copy, ent.start, ent.end, label=ent.label_) for ent in doc.ents])
    return copy


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


def f1(nlp: Language, gold: Sequence[Doc]) -> float:
    right, n_predicted, n_gold = zip(*count_by_document(gold, predict(nlp, gold)), strict=True)
    return float(f1_score(right, n_predicted, n_gold))


def assess(nlp: Language, gold: Sequence[Doc]) -> dict[str, float]:
    """RETURNS (dict[str, float]): F1 on gold tokens, on raw text, and for each perturbation; and
    `unreachable` of score_raw."""
    raw = score_raw(nlp, gold)
    result = {"gold tokens": f1(nlp, gold), "raw text": raw["f1"]}
    for name, perturb in PERTURBATIONS.items():
        rng = random.Random(SEED)
        result[name] = f1(nlp, [perturb(doc, rng) for doc in gold])
    return result | {"unreachable": raw["unreachable"]}


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or installed package")],
    files: Annotated[list[Path], typer.Argument(help=".spacy or column files")],
    output: Annotated[Path | None, typer.Option(help="JSON file for the scores")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU's number")] = "auto",
) -> None:
    """F1 on raw text, in other case, without final punctuation, with typos."""
    with clear_errors():
        nlp, _ = load_on_device(pipeline, device)
        results: dict[str, Any] = {}
        for path in files:
            gold = read_gold(path, nlp.vocab)
            if not any(doc.ents for doc in gold):
                raise InputError(f"{path}: no mention in it")
            scores = assess(nlp, gold)
            results[path.stem] = scores | {"file": str(path), "sha256": sha256(path)}
            rows = [(name, f"{100 * value:.2f}") for name, value in scores.items()]
            msg.table(rows, header=(path.stem, "%"), divider=True, aligns=("l", "r"))
        if output is not None:
            with written_aside(output) as aside:
                aside.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
            msg.good(f"{output}")


if __name__ == "__main__":
    typer.run(main)
