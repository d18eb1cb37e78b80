"""F1 on perturbed text: changed case, no final punctuation, typos. Gold tokens are kept."""

import random
from collections.abc import Callable, Sequence

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.evaluation.bootstrap import count_by_document, f1_score
from conll_ner.evaluation.raw_text_scores import annotate_raw, score_raw
from conll_ner.evaluation.seqeval_scores import annotate_gold
from token_ner import copy_gold, final_punctuation
from token_ner.training.augmentation import gets_typo, swap_letters

SEED = 0
Perturb = Callable[[Doc, random.Random], Doc]


def lower(doc: Doc, _: random.Random) -> Doc:
    return copy_gold(doc, [token.text.lower() for token in doc])


def upper(doc: Doc, _: random.Random) -> Doc:
    return copy_gold(doc, [token.text.upper() for token in doc])


def drop_final_punctuation(doc: Doc, _: random.Random) -> Doc:
    """RETURNS (Doc): A copy without the full stop, question or exclamation mark at the end of each
    sentence. If sentences are unknown, all of these are dropped. Mentions keep theirs."""
    dropped = set(final_punctuation(doc, 0, len(doc)))
    return copy_gold(
        doc, [token.text for token in doc], [i not in dropped for i in range(len(doc))]
    )


def add_typos(doc: Doc, rng: random.Random) -> Doc:
    """RETURNS (Doc): A copy in which a tenth of the longer words have two adjacent letters swapped.
    The first letter stays."""
    words = [token.text for token in doc]
    return copy_gold(
        doc,
        [swap_letters(w, rng.randrange(1, len(w) - 1)) if gets_typo(w, rng) else w for w in words],
    )


LOWER_CASE = "all lower case"
PERTURBATIONS: dict[str, Perturb] = {
    LOWER_CASE: lower,
    "ALL UPPER CASE": upper,
    "no final punctuation": drop_final_punctuation,
    "typos": add_typos,
}


def f1_on_gold_tokens(gold: Sequence[Doc], predicted: Sequence[Doc]) -> float:
    right, n_predicted, n_gold = zip(*count_by_document(gold, predicted), strict=True)
    return float(f1_score(right, n_predicted, n_gold))


def annotate_perturbed(
    nlp: Language, gold: Sequence[Doc], name: str
) -> tuple[list[Doc], list[Doc]]:
    """RETURNS (tuple[list[Doc], list[Doc]]): Gold documents changed by one of PERTURBATIONS, and
    annotated copies of them."""
    rng = random.Random(SEED)
    changed = [PERTURBATIONS[name](doc, rng) for doc in gold]
    return changed, annotate_gold(nlp, changed)


def score_variants(nlp: Language, gold: Sequence[Doc]) -> dict[str, float]:
    """RETURNS (dict[str, float]): F1 on gold tokens, on raw text and for each perturbation, and
    `unreachable` of score_raw."""
    raw = score_raw(*annotate_raw(nlp, gold))
    own = f1_on_gold_tokens(gold, annotate_gold(nlp, gold))
    result = {"gold tokens": own, "raw text": raw["f1"]}
    for name in PERTURBATIONS:
        result[name] = f1_on_gold_tokens(*annotate_perturbed(nlp, gold, name))
    return result | {"unreachable": raw["unreachable"]}
