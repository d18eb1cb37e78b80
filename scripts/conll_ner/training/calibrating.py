"""Calibrate the confidence scores of a trained pipeline, in its folder."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from confection import Config
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import dot_to_object, resolve_dot_names

from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write, read_json, write_json
from conll_ner.common.pipelines import find_heads, load_pipeline
from conll_ner.evaluation.calibration_error import measure_calibration, scored_mentions
from conll_ner.evaluation.seqeval_scores import annotate_gold
from conll_ner.training.platt import find_threshold, fit_on_documents
from token_ner import Calibration, text_key


class Result(NamedTuple):
    """What was fitted.

    calibration (Calibration | None): None if it doesn't help; the scores stay as they are.
    threshold (float | None): For the wanted precision, on calibrated scores.
    measures (dict[str, tuple[float, float]]): Name of a measure to its value before and after.
    """

    calibration: Calibration | None
    threshold: float | None
    measures: dict[str, tuple[float, float]]


def calibrate_folder(
    nlp: Language,
    folder: Path,
    gold: Sequence[Doc],
    precision: float | None = None,
    seen: frozenset[int] | None = None,
) -> Result:
    """Fit the calibration of a pipeline, and save it in the pipeline's folder.

    nlp (Language): The pipeline in the folder. Its settings are changed too.
    gold (Sequence[Doc]): Documents that the pipeline wasn't trained on.
    precision (float | None): Also find and save the threshold for this precision.
    seen (frozenset[int] | None): `text_keys` of the training data; None takes those that the
        pipeline was calibrated with before, if any.
    RAISES (InputError): If the pipeline has no single `token_ner`, gold has no mentions, there is
        too little to fit on, or the precision is not reached.
    """
    heads = find_heads(nlp)
    if len(heads) != 1:
        raise InputError(f"{folder} has {len(heads)} token_ner components; only one can be fitted")
    ((name, head),) = heads.items()
    if not any(doc.ents for doc in gold):
        raise InputError("the gold documents contain no mentions")
    if seen is None:
        seen = head.calibration.seen if head.calibration else frozenset()
    settings: dict[str, Any] = {"calibration": None, "threshold": head.cfg["threshold"]}
    head.cfg |= {"calibration": None, "threshold": None}
    predicted = annotate_gold(nlp, gold)
    fit = fit_on_documents(gold, predicted, seen)
    scores, right, texts = scored_mentions(gold, predicted)
    calibrated = scores
    threshold = None
    if fit.calibration is not None:
        calibrated = fit.calibration.apply(scores, texts)
        settings["calibration"] = fit.calibration.to_settings()
    if precision is not None:
        settings["threshold"] = threshold = find_threshold(calibrated, right, precision)
    head.cfg |= settings
    save_settings(folder, name, settings)
    measures = {"held-out negative log-likelihood": fit.likelihoods}
    before, after = (measure_calibration(s, right) for s in (scores, calibrated))
    measures |= {name.replace("_", " "): (before[name], after[name]) for name in before}
    return Result(fit.calibration, threshold, measures)


def calibrate_on_dev(config: Config, folder: Path) -> dict[str, Any] | None:
    """Calibrate a pipeline on the dev corpus of its training, with the mentions of its training
    corpus.

    config (Config): Of the training.
    folder (Path): The pipeline.
    RETURNS (dict[str, Any] | None): What was fitted and the measures, each before and after; None
        if the pipeline can't be calibrated: it has no `token_ner`, or too few mentions.
    """
    nlp = load_pipeline(str(folder))
    if len(find_heads(nlp)) != 1:
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


def save_settings(folder: Path, name: str, settings: dict[str, Any]) -> None:
    """Change a component's settings in a pipeline's folder. Weights and other files stay as they
    are. The threshold is in the config too, where it wins."""
    config = Config().from_disk(folder / "config.cfg", interpolate=False)
    if "threshold" in config["components"][name]:
        config["components"][name]["threshold"] = settings["threshold"]
        with atomic_write(folder / "config.cfg") as temporary:
            config.to_disk(temporary)
    path = folder / name / "cfg"
    write_json(path, read_json(path, "train the pipeline again") | settings)
