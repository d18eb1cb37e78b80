"""Fit the calibration of a pipeline's confidence scores, and save it in the pipeline's folder, with
the promises that depend on it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from confection import Config
from sklearn.linear_model import LogisticRegression
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import dot_to_object, resolve_dot_names

from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write, read_json, write_json
from conll_ner.common.pipelines import find_heads, find_single_head, load_pipeline
from conll_ner.evaluation.calibration_error import (
    ScoredMentions,
    measure_calibration,
    scored_mentions,
)
from conll_ner.evaluation.promises import PROMISES, Kind, Promise
from conll_ner.evaluation.seqeval_scores import annotate_gold
from conll_ner.training.promising import (
    SETTINGS,
    Promises,
    annotate_all,
    list_made,
    make_promises,
)
from token_ner import Calibration, is_unseen, log_odds, text_key


class Fit(NamedTuple):
    """A calibration, and how much it helps on documents that it wasn't fitted on.

    calibration (Calibration | None): Fitted on all documents; None if it doesn't help.
    likelihoods (tuple[float, float]): Mean negative log-likelihood of a mention being correct or
        not, by the scores as they are and by calibrated ones, each half of the documents by the
        calibration fitted on the other half.
    """

    calibration: Calibration | None
    likelihoods: tuple[float, float]


class Result(NamedTuple):
    """What was fitted.

    calibration (Calibration | None): None if it doesn't help; the scores stay as they are.
    promises (dict[Kind, Promise]): As of `make_promises`.
    predicted (list[Doc]): As of `annotate_all`; empty without promises.
    measures (dict[str, tuple[float, float]]): Name of a measure to its value before and after.
    """

    calibration: Calibration | None
    promises: dict[Kind, Promise]
    predicted: list[Doc]
    measures: dict[str, tuple[float, float]]


def calibrate_folder(
    nlp: Language,
    folder: Path,
    gold: Sequence[Doc],
    promises: Promises | None = None,
    seen: frozenset[int] | None = None,
    name: str = "",
) -> Result:
    """Fit the calibration of a pipeline, and save it in the pipeline's folder.

    nlp (Language): The pipeline in the folder. Its settings are changed too.
    gold (Sequence[Doc]): Documents that the pipeline wasn't trained on.
    promises (Promises | None): To make; those that the pipeline has made before are made again.
    seen (frozenset[int] | None): `text_keys` of the training data; None takes those that the
        pipeline was calibrated with before, if any.
    name (str): Of the gold documents, for the record of promises.
    RAISES (InputError): If the pipeline has no single `token_ner`, gold has no mentions, there is
        too little to fit on, or a promise can't be made.
    """
    component, head = find_single_head(nlp, str(folder), "a pipeline to calibrate")
    if not any(doc.ents for doc in gold):
        raise InputError("the gold documents contain no mentions")
    if seen is None:
        seen = head.calibration.seen if head.calibration else frozenset()
    kept = {setting: head.cfg[setting] for setting in SETTINGS.values()}
    head.cfg |= {"calibration": None} | dict.fromkeys(kept)
    predicted = annotate_gold(nlp, gold)
    fit = fit_on_documents(gold, predicted, seen)
    scores, right, texts = scored_mentions(gold, predicted)
    calibrated = scores
    if fit.calibration is not None:
        calibrated = fit.calibration.apply(scores, texts)
        head.cfg["calibration"] = fit.calibration.to_settings()
    head.cfg |= kept
    wanted = list_made(nlp.meta) | dict(promises or {})
    every = annotate_all(nlp, head, gold) if wanted else []
    made = make_promises(head, gold, every, name, wanted)
    nlp.meta[PROMISES] = {kind: promise.model_dump() for kind, promise in made.items()}
    save_settings(folder, component, head.cfg["calibration"], made)
    measures = {"held-out negative log-likelihood": fit.likelihoods}
    before, after = (measure_calibration(s, right) for s in (scores, calibrated))
    measures |= {name.replace("_", " "): (before[name], after[name]) for name in before}
    return Result(fit.calibration, made, every, measures)


def calibrate_on_dev(config: Config, folder: Path) -> dict[str, Any] | None:
    """Calibrate a pipeline on the dev corpus of its training, with the mentions of its training
    corpus.

    config (Config): Of the training.
    folder (Path): The pipeline.
    RETURNS (dict[str, Any] | None): What was fitted and the measures, each before and after; None
        if the pipeline can't be calibrated: it has no single `token_ner`, or too few mentions.
    """
    nlp = load_pipeline(str(folder))
    if not find_heads(nlp):
        return None
    gold = read_corpus(nlp, config, "dev_corpus")
    seen = text_keys(read_corpus(nlp, config, "train_corpus"))
    try:
        result = calibrate_folder(nlp, folder, gold, seen=seen)
    except InputError as error:
        msg.warn(f"confidence scores are not calibrated: {error}")
        return None
    fitted = result.calibration
    return {"fitted": None if fitted is None else describe(fitted), **result.measures}


def read_corpus(nlp: Language, config: Config, name: str) -> list[Doc]:
    """RETURNS (list[Doc]): The gold documents of a corpus of the config, without augmentation.
    name (str): "train_corpus" or "dev_corpus"."""
    config = config.copy()
    section = dot_to_object(config, config["training"][name])
    if "augmenter" in section:
        section["augmenter"] = None
    resolved = config.interpolate()
    (corpus,) = resolve_dot_names(resolved, [resolved["training"][name]])
    return [example.reference for example in corpus(nlp)]


def text_keys(docs: Iterable[Doc]) -> frozenset[int]:
    """RETURNS (frozenset[int]): `text_key` of each gold mention."""
    return frozenset(text_key(ent.text) for doc in docs for ent in doc.ents)


def describe(calibration: Calibration) -> dict[str, float]:
    """RETURNS (dict[str, float]): The parameters, and the number of texts in `seen`."""
    return calibration._asdict() | {"seen": len(calibration.seen)}


def save_settings(
    folder: Path, name: str, calibration: dict[str, Any] | None, promises: dict[Kind, Promise]
) -> None:
    """Save a component's calibration in a pipeline's folder, and its promises. Weights and other
    files stay as they are. Least scores are in the config too, where they win."""
    settings = {SETTINGS[kind]: promise.least for kind, promise in promises.items()}
    config = Config().from_disk(folder / "config.cfg", interpolate=False)
    section = config["components"][name]
    changed = {key: value for key, value in settings.items() if key in section}
    if any(section[key] != value for key, value in changed.items()):
        section.update(changed)
        with atomic_write(folder / "config.cfg") as temporary:
            config.to_disk(temporary)
    advice = "train the pipeline again"
    path, meta = folder / name / "cfg", folder / "meta.json"
    write_json(path, read_json(path, advice) | settings | {"calibration": calibration})
    if promises:
        saved = {kind: promise.model_dump() for kind, promise in promises.items()}
        write_json(meta, read_json(meta, advice) | {PROMISES: saved})


def fit_platt(mentions: ScoredMentions, seen: frozenset[int] = frozenset()) -> Calibration:
    """Fit by maximum likelihood, with Platt's targets: (n + 1) / (n + 2) for the n correct mentions
    and 1 / (n + 2) for the others. They keep the fit finite if all mentions are correct.

    mentions (ScoredMentions): With scores before calibration.
    seen (frozenset[int]): `text_key` of the mentions of the training data; if there are some, and
        both seen and unseen mentions, `unseen` is fitted too.
    """
    scores, right, texts = mentions
    n_right = int(right.sum())
    n_wrong = len(right) - n_right
    targets = numpy.where(right, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))
    features = log_odds(scores)[:, None]
    unseen = is_unseen(texts, seen)
    if 0 < unseen.sum() < len(texts):
        features = numpy.column_stack([features, unseen])
    # A soft target is a positive example with this weight, and a negative one with the rest.
    labels = numpy.repeat([1, 0], len(scores))
    weights = numpy.concatenate([targets, 1 - targets])
    model = LogisticRegression(C=numpy.inf)
    model.fit(numpy.tile(features, (2, 1)), labels, sample_weight=weights)
    slope, *offset = model.coef_[0].tolist()
    fitted = Calibration(slope, float(model.intercept_[0]))
    return fitted._replace(unseen=offset[0], seen=seen) if offset else fitted


def negative_log_likelihood(scores: numpy.ndarray, right: numpy.ndarray) -> float:
    """RETURNS (float): The mean over mentions: (n_mentions,) scores, and which are correct."""
    odds = log_odds(scores)
    return float(numpy.logaddexp(0, numpy.where(right, -odds, odds)).mean())


def fit_on_documents(
    gold: Sequence[Doc], predicted: Sequence[Doc], seen: frozenset[int] = frozenset()
) -> Fit:
    """Fit on all documents, if a fit on one half of the documents raises the likelihood of the
    other half. Whether `seen` is used is decided in the same way.

    predicted (Sequence[Doc]): Annotated with scores that aren't calibrated.
    seen (frozenset[int]): `text_key` of the mentions of the training data, if known.
    RAISES (InputError): If one half has no mention with a score.
    """
    halves = [scored_mentions(gold[i::2], predicted[i::2]) for i in (0, 1)]
    if not all(half.texts for half in halves):
        raise InputError("too few predicted mentions with a score to calibrate; use more documents")
    every = scored_mentions(gold, predicted)
    before = negative_log_likelihood(every.scores, every.right)
    choices = {frozenset[int](), seen}
    after, chosen = min((held_out_likelihood(halves, choice), choice) for choice in choices)
    fitted = fit_platt(every, chosen)
    helps = after < before and fitted.slope > 0
    return Fit(fitted if helps else None, (before, after))


def held_out_likelihood(halves: Sequence[ScoredMentions], seen: frozenset[int]) -> float:
    """RETURNS (float): Mean negative log-likelihood of the mentions of both halves, each calibrated
    by the fit on the other half."""
    total = 0.0
    for half, other in zip(halves, reversed(halves), strict=True):
        calibrated = fit_platt(other, seen).apply(half.scores, half.texts)
        total += len(half.texts) * negative_log_likelihood(calibrated, half.right)
    return total / sum(len(half.texts) for half in halves)
