"""Export a pipeline to a checkpoint, and convert mentions to transformers' entity groups."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from confection import Config
from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write
from conll_ner.common.pipelines import find_single, find_single_head
from conll_ner.data.wordpiece_labels import label_names
from conll_ner.huggingface.loading import as_input_error, check_head
from conll_ner.huggingface.settings import SETTINGS, SPACY_CONFIG
from token_ner import WINDOWED_TRANSFORMER, TokenNER
from token_ner.truecasing import is_truecasing


def build_classifier(nlp: Language, pipeline: str) -> tuple[Any, Any]:
    """RETURNS (tuple[PreTrainedModel, PreTrainedTokenizer]): A transformers token classifier with
    the pipeline's weights, and its tokenizer.
    RAISES (InputError): If transformers has no equivalent model."""
    _, token_ner = find_single_head(nlp, pipeline, "a pipeline to export")
    transformer = find_single(nlp, "transformer", pipeline, "a pipeline to export")[1].model
    if transformer.name != WINDOWED_TRANSFORMER or not token_ner.model.has_ref("output"):
        raise InputError(
            f"{pipeline}: only a conll_ner.WindowedTransformer with a conll_ner.TokenClassifier "
            "can be exported"
        )
    shim = transformer.shims[0]
    if hasattr(shim._model, "case_embedding"):
        raise InputError(
            f"{pipeline}: its backbone has a letter-case embedding, which transformers doesn't "
            "support; train with --components.transformer.model.case_embedding false"
        )
    names = export_names(token_ner)
    config = copy.deepcopy(shim._model.config)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    with as_input_error(f"{pipeline}: transformers has no token classifier for its backbone"):
        model = transformers.AutoModelForTokenClassification.from_config(config)
        model.base_model.load_state_dict(shim._model.state_dict())
    check_head(model, pipeline)
    output = token_ner.model.get_ref("output")
    order = [token_ner.word_labels.index(name) for name in names]
    with torch.no_grad():
        for parameter, values in (
            (model.classifier.weight, output.get_param("W")),
            (model.classifier.bias, output.get_param("b")),
        ):
            parameter.copy_(torch.from_numpy(output.ops.to_numpy(values)[order]))
    return model.eval(), shim._hfmodel.tokenizer


def export_names(token_ner: TokenNER) -> list[str]:
    """RETURNS (list[str]): The labels in the usual order of checkpoints: O, then those of each
    type."""
    prefixes = "BILU" if token_ner.cfg["scheme"] == "bilou" else "BI"
    return label_names(set(token_ner.labels), prefixes)


def export_config(nlp: Language) -> Config:
    """RETURNS (Config): The settings that the checkpoint keeps for a later import."""
    kept = [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory in SETTINGS]
    config = nlp.config.interpolate()
    for name in kept:
        settings = config["components"][name]
        if settings["factory"] == "transformer":
            settings["model"]["name"] = ""  # set to the checkpoint's location on import
        if settings["factory"] == "token_ner":
            settings["threshold"] = nlp.get_pipe(name).threshold  # type: ignore[attr-defined]
    components = {name: config["components"][name] for name in kept}
    return Config({"nlp": {"lang": nlp.lang, "pipeline": kept}, "components": components})


def model_card(nlp: Language, names: Sequence[str]) -> str:
    """RETURNS (str): The checkpoint's README, with the scores from the pipeline's meta."""
    performance = nlp.meta.get("performance", {})
    rows = {"": performance} | {
        name: {f"ents_{key}": value for key, value in scores.items()}
        for name, scores in performance.items()
        if isinstance(scores, dict) and scores.keys() == {"p", "r", "f"}
    }
    table = [
        f"| {name or nlp.meta['name']} | "
        + " | ".join(f"{100 * row[f'ents_{key}']:.2f}" for key in "prf")
        + " |"
        for name, row in rows.items()
        if row.get("ents_f") is not None
    ]
    scores = ["| | precision | recall | F1 |", "| --- | ---: | ---: | ---: |", *table]
    parts = [
        "---\nlibrary_name: transformers\npipeline_tag: token-classification\n"
        f"language: {nlp.lang}\n---",
        f"# {nlp.lang}_{nlp.meta['name']}",
        nlp.meta.get("description") or "Named entities, exported from a spaCy pipeline.",
        f"Labels: {', '.join(names)}. A word has the label of its first wordpiece: "
        '`pipeline("token-classification", aggregation_strategy="first")`.',
        *(["\n".join(scores)] if table else []),
    ]
    return "\n\n".join(parts) + "\n"


def export_pipeline(nlp: Language, pipeline: str, output: Path) -> None:
    """Write a folder that transformers can load as a token classifier.

    pipeline (str): Name of the pipeline for error messages.
    RAISES (InputError): If the pipeline can't be exported, or `output` can't be written. `output`
        is then unchanged.
    """
    model, tokenizer = build_classifier(nlp, pipeline)
    names = list(model.config.id2label.values())
    with as_input_error(f"{output} can't be written"), atomic_write(output) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        export_config(nlp).to_disk(temporary / SPACY_CONFIG)
        (temporary / "README.md").write_text(model_card(nlp, names), encoding="utf-8")
    dropped = [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory not in SETTINGS]
    transformer = find_single(nlp, "transformer", pipeline, "a pipeline to export")[1].model
    if is_truecasing(transformer):
        dropped.append("truecasing")
    if dropped:
        msg.warn(f"Not exported, because a checkpoint can't contain them: {', '.join(dropped)}")


def entity_groups(doc: Doc) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): The mentions in the format of transformers' pipeline. `score`
    is the probability of exactly this span with this label."""
    return [
        {
            "entity_group": ent.label_,
            "score": ent._.score,
            "word": ent.text,
            "start": ent.start_char,
            "end": ent.end_char,
        }
        for ent in doc.ents
    ]
