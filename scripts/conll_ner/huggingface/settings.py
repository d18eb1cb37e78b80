"""The settings of a pipeline that a checkpoint keeps, in spacy.cfg, from export to import."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from confection import Config
from spacy.util import dot_to_object, load_config, walk_dict

from conll_ner.common.console import InputError
from conll_ner.huggingface.loading import as_input_error
from token_ner import refuse_code

SPACY_CONFIG = "spacy.cfg"
# By factory, the settings that are read. Whatever else a stranger's config names, such as
# functions, could run code.
SETTINGS = {
    "sentencizer": ("overwrite", "punct_chars"),
    "transformer": (
        "max_batch_items",
        "model.window",
        "model.context",
        "model.sentence_windows",
        "model.batch_wordpieces",
        "model.precision",
        "model.case_embedding",
        "model.case_learn_rate_factor",
    ),
    "token_ner": (
        "scheme",
        "threshold",
        "candidates",
        "learn_rate_factor",
        "label_weights",
        "spans_key",
    ),
}
OF_TRANSFORMERS = ("model.tokenizer_config", "model.transformer_config")  # settings of any name
# What export saves and import sets itself.
SET_BY_IMPORT = {
    "factory": None,
    "scorer.@scorers": ("spacy.senter_scorer.v1", "spacy.ner_scorer.v1"),
    "set_extra_annotations.@annotation_setters": ("spacy-transformers.null_annotation_setter.v1",),
    "model.name": None,
    "model.nO": None,
    "model.truecase": None,
    "model.@architectures": (
        "conll_ner.WindowedTransformer.v1",
        "conll_ner.TokenClassifier.v1",
    ),
    "model.tok2vec.@architectures": ("conll_ner.FirstWordpiece.v1",),
    "model.tok2vec.upstream": None,
}


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings that `hf-export` saved.

    path (Path): The checkpoint's spacy.cfg.
    RETURNS (dict[str, Any]): Overrides for this project's config.
    RAISES (InputError): If there are others.
    """
    with as_input_error(f"{path} can't be read"):
        config = load_config(path, interpolate=True)
        components = {name: config["components"][name] for name in config["nlp"]["pipeline"]}
        factories = {name: section["factory"] for name, section in components.items()}
        lang = config["nlp"]["lang"]
    refused = sorted({f for f in factories.values() if f not in SETTINGS})
    result: dict[str, Any] = {"nlp.lang": lang, "nlp.pipeline": list(factories.values())}
    for name, section in components.items():
        factory = factories[name]
        for keys, value in walk_dict(section):
            key, parent = ".".join(keys), ".".join(keys[:-1])
            if parent in OF_TRANSFORMERS:
                with as_input_error(str(path)):
                    refuse_code({keys[-1]: value}, f"{name}.{parent}")
                result[f"components.{factory}.{key}"] = value
            elif not is_known(keys, SETTINGS.get(factory, ())):
                allowed = SET_BY_IMPORT.get(key, ())
                if allowed is not None and value not in allowed:
                    refused.append(f"{name}.{key}")
        for key in SETTINGS.get(factory, ()):
            with suppress(KeyError):  # one that a newer version added
                result[f"components.{factory}.{key}"] = dot_to_object(Config(section), key)
    if refused:
        raise InputError(
            f"{path}: {', '.join(refused)} can't be imported; delete {SPACY_CONFIG} to import the "
            "checkpoint with this project's settings"
        )
    return result


def is_known(keys: Sequence[str], settings: Sequence[str]) -> bool:
    """RETURNS (bool): Whether a value is that of a setting, or one by type of it. "@" would call a
    function."""
    names = (".".join(keys), ".".join(keys[:-1]))
    return not keys[-1].startswith("@") and any(name in settings for name in names)
