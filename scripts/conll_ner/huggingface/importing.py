"""Import a checkpoint as a pipeline, without training."""

from pathlib import Path
from typing import Any, cast

import numpy
from confection import Config
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model_from_config, set_dot_to_object

from conll_ner.common.pipelines import find_heads
from conll_ner.huggingface.labels import read_labels
from conll_ner.huggingface.loading import as_input_error, load_checkpoint
from conll_ner.huggingface.settings import SPACY_CONFIG, read_settings
from conll_ner.training.config_template import render_config

IMPOSSIBLE = -1e4  # logit of a label that the checkpoint doesn't have


def pipeline_config(checkpoint: str, scheme: str, lang: str, sentences: bool) -> Config:
    """RETURNS (Config): The pipeline's config with the settings that an exported checkpoint keeps;
    for other checkpoints, with windows of one sentence or of the model's maximum length."""
    saved = Path(checkpoint) / SPACY_CONFIG
    settings: dict[str, Any] = {"components.transformer.model.transformer_config": {}}
    if saved.is_file():
        settings |= read_settings(saved)
    else:
        settings |= {
            "nlp.lang": lang,
            "components.transformer.model.window": None,
            "components.transformer.model.sentence_windows": sentences,
            "components.transformer.model.case_embedding": False,
            "components.token_ner.scheme": scheme,
        }
    settings["components.transformer.model.name"] = checkpoint
    settings["components.transformer.model.truecase"] = False  # a checkpoint has no casings
    default = Config().from_str(render_config(), interpolate=False)
    config = Config({section: default[section] for section in ("nlp", "components")})
    for name, value in settings.items():
        set_dot_to_object(config, name, value)
    return config


def import_checkpoint(checkpoint: str, lang: str = "en", *, sentences: bool = True) -> Language:
    """Build a pipeline from a token-classification checkpoint, without training. A word's emission
    scores are the checkpoint's logits at its first wordpiece.

    checkpoint (str): A hub id or a folder.
    sentences (bool): Whether the model reads single sentences, as most were trained to do, or as
        much of a document as fits. Ignored if the checkpoint was exported with its windows.
    RAISES (InputError): If it can't be imported.
    """
    classifier = load_checkpoint(checkpoint)
    names = [classifier.config.id2label[i] for i in range(classifier.config.num_labels)]
    labels = read_labels(names)
    nlp = load_model_from_config(
        pipeline_config(checkpoint, labels.scheme, lang, sentences), auto_fill=True, validate=True
    )
    # An example with every type: spaCy infers the labels and the shape of the head.
    gold = Doc(nlp.vocab, words=labels.types, ents=[f"B-{type_}" for type_ in labels.types])
    with as_input_error(checkpoint):
        nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=labels.types), gold)])
    (token_ner,) = find_heads(nlp).values()
    weight, bias = (p.detach().float().numpy() for p in classifier.classifier.parameters())
    columns = [labels.ids.get(label) for label in token_ner.word_labels]
    output = token_ner.model.get_ref("output")
    rows = [numpy.zeros_like(weight[0]) if c is None else weight[c] for c in columns]
    output.set_param("W", output.ops.asarray2f(cast(Any, numpy.stack(rows))))
    biases = [IMPOSSIBLE if c is None else float(bias[c]) for c in columns]
    output.set_param("b", output.ops.asarray1f(biases))
    return nlp
