"""Set a pipeline's threshold and floor of candidates so that it keeps a promise."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.evaluation.promises import (
    LEAST_FLOOR,
    Kind,
    Outcomes,
    Promise,
    Simulation,
    choose_step,
    count_outcomes,
    documents_needed,
    read_promises,
    simulate,
    steps_of,
)
from conll_ner.evaluation.seqeval_scores import annotate_gold
from token_ner import TokenNER

SETTINGS: dict[Kind, str] = {"precision": "threshold", "recall": "candidates"}


class Wanted(NamedTuple):
    """A promise to make.

    confidence (float): That as many new documents as gold has keep it.
    by_type (bool): Whether each type keeps it by itself.
    """

    level: float
    confidence: float
    by_type: bool


Promises = Mapping[Kind, Wanted]


def list_made(meta: Mapping[str, Any]) -> dict[Kind, Wanted]:
    """RETURNS (dict[Kind, Wanted]): The promises that a pipeline has made, as `read_promises`."""
    return {
        kind: Wanted(promise.level, promise.confidence, promise.by_type)
        for kind, promise in read_promises(meta).items()
    }


def make_promises(
    head: TokenNER, gold: Sequence[Doc], predicted: Sequence[Doc], name: str, promises: Promises
) -> dict[Kind, Promise]:
    """Choose the pipeline's settings, which are changed.

    predicted (Sequence[Doc]): As of `annotate_all`, with calibrated scores.
    name (str): Of the gold documents, for the record.
    RETURNS (dict[Kind, Promise]): What `meta` saves under PROMISES.
    RAISES (InputError): If a promise can't be made from gold.
    """
    made: dict[Kind, Promise] = {}
    for kind, wanted in promises.items():
        chosen = {
            label: choose(gold, predicted, kind, wanted, label or None)
            for label in (head.labels if wanted.by_type else [""])
        }
        least, share = ({label: row[i] for label, row in chosen.items()} for i in (0, 1))
        made[kind] = Promise(
            level=wanted.level,
            confidence=wanted.confidence,
            least=least if wanted.by_type else least[""],
            share=share if wanted.by_type else share[""],
            gold=name,
            documents=len(gold),
            date=date.today().isoformat(),
        )
        head.cfg[SETTINGS[kind]] = made[kind].least
    return made


def annotate_all(nlp: Language, head: TokenNER, gold: Sequence[Doc]) -> list[Doc]:
    """RETURNS (list[Doc]): Copies of the documents, with the mentions of all scores, and candidates
    from LEAST_FLOOR on."""
    kept = {setting: head.cfg[setting] for setting in SETTINGS.values()}
    head.threshold, head.candidates = None, LEAST_FLOOR
    try:
        return annotate_gold(nlp, gold)
    finally:
        head.cfg |= kept


def choose(
    gold: Sequence[Doc], predicted: Sequence[Doc], kind: Kind, wanted: Wanted, label: str | None
) -> tuple[float, float]:
    """RETURNS (tuple[float, float]): The least score, and the precision or recall with it.
    RAISES (InputError): If the promise can't be made."""
    level, confidence, _ = wanted
    outcomes = count_outcomes(kind, steps_of(kind, level), gold, predicted, label)
    step = choose_step(outcomes, kind, level, confidence)
    if step is None:
        raise InputError(explain(outcomes, kind, wanted, label))
    least, share = (round(float(row[step]), 4) for row in (outcomes.steps, outcomes.shares()))
    return least, share


def explain(outcomes: Outcomes, kind: Kind, wanted: Wanted, label: str | None) -> str:
    """RETURNS (str): Why a promise can't be made, and what would help."""
    of_type = "" if label is None else f" for {label}"
    share, n = outcomes.shares()[0], len(outcomes.right)
    message = f"a {kind} of {wanted.level:g}{of_type} can't be promised: it is {share:.4f} at best"
    needed = documents_needed(outcomes, kind, wanted.level, wanted.confidence)
    if needed is None:
        return f"{message}, on {n:,} documents; promise less"
    return f"{message}, on {n:,} documents; about {needed:,} such documents would be enough"


def simulate_promises(
    labels: Sequence[str],
    gold: Sequence[Doc],
    predicted: Sequence[Doc],
    promises: Promises,
    draws: int,
) -> dict[tuple[Kind, str | None], Simulation]:
    """RETURNS (dict[tuple[Kind, str | None], Simulation]): How often each promise is kept, of all
    mentions and of each type. predicted: as of `annotate_all`."""
    return {
        (kind, label): simulate(
            count_outcomes(kind, steps_of(kind, wanted.level), gold, predicted, label),
            kind,
            wanted.level,
            wanted.confidence,
            draws,
        )
        for kind, wanted in promises.items()
        for label in (None, *labels)
    }
