"""Put a slim pipeline together."""

import tempfile
from pathlib import Path
from typing import cast

from confection import Config
from spacy.language import Language
from spacy.util import load_model_from_config

from conll_ner.common.console import InputError
from conll_ner.packaging.slimming.comparing import check_export
from conll_ner.packaging.slimming.export import export_graph
from conll_ner.packaging.slimming.quantization import quantize, read_graph
from conll_ner.packaging.slimming.source import Source
from token_ner import TokenNER
from token_ner.onnx_model.onnx_shim import (
    OnnxClassifier,
    OnnxShim,
    SlimPrecision,
    create_session,
)
from token_ner.torch_model.shim import most_wordpieces
from token_ner.truecasing import TRUECASER
from token_ner.wordpieces import disable_limits

ARCHITECTURE = "conll_ner.OnnxTokenClassifier.v1"
# What stays of the config. The rest is about training, with paths of the machine that trained.
KEPT_SECTIONS = ("nlp", "components")


def make_slim(nlp: Language, source: Source, path: str, precision: SlimPrecision) -> Language:
    """Make a pipeline that predicts without torch.

    nlp (Language): The pipeline, which isn't changed.
    source (Source): What becomes one model, of `find_source`.
    path (str): The pipeline's name, for messages.
    RETURNS (Language): With the same components in the same order, but for the transformer, which
        is in the recogniser's model. `meta["slim"]` has `precision`, the size in `megabytes`, and
        `export_difference`, the largest between logits of ONNX in float32 and of torch.
    RAISES (InputError): If torch can't export it, or the export is wrong.
    """
    with tempfile.TemporaryDirectory() as temporary:
        graph = Path(temporary) / "float32.onnx"
        export_graph(source, graph)
        difference = check_export(source, create_session(str(graph), 1), path)
        if precision == "int8":
            quantized = Path(temporary) / "int8.onnx"
            quantize(graph, quantized)
            graph = quantized
        content, weights = read_graph(graph)
    try:
        classifier = OnnxClassifier(content, *describe_model(source), precision, weights)
    except ValueError as error:
        kind = source.shim._model.config.model_type
        raise InputError(f"{path}: a slim pipeline can't have a {kind}: {error}") from None
    slim = assemble(nlp, source, classifier)
    # The torch pipeline's scores; evaluate measures this one's.
    slim.meta.pop("performance", None)
    slim.meta["slim"] = {
        "precision": precision,
        "megabytes": round((len(content) + len(weights)) / 1e6, 1),
        "export_difference": float(f"{difference:.1g}"),
    }
    return slim


def assemble(nlp: Language, source: Source, classifier: OnnxClassifier) -> Language:
    """RETURNS (Language): The pipeline with the components' settings and data, and the classifier
    in the recogniser."""
    config = Config({name: nlp.config.interpolate()[name] for name in KEPT_SECTIONS}).copy()
    windowing = source.windowing
    config["components"][source.name]["model"] = {
        "@architectures": ARCHITECTURE,
        "window": windowing.window,
        "context": windowing.context,
        "sentence_windows": windowing.sentence_windows,
        "threads": None,
        "truecase": windowing.truecase,
    }
    if windowing.batch_wordpieces != "auto":
        config["components"][source.name]["model"]["batch_wordpieces"] = windowing.batch_wordpieces
    if source.dropped is not None:
        del config["components"][source.dropped]
        for names in (config["nlp"]["pipeline"], config["nlp"]["disabled"]):
            names[:] = [name for name in names if name != source.dropped]
    slim = load_model_from_config(config, auto_fill=True, validate=True)
    # First the recogniser: rulers that are loaded run the components before them.
    fill(slim, source, classifier)
    turned = [source.name, *([source.dropped] if source.dropped else [])]
    # Not by to_bytes: an entity_ruler of spaCy 3.8 loses the patterns that are phrases.
    with tempfile.TemporaryDirectory() as temporary:
        nlp.to_disk(temporary, exclude=turned)
        return slim.from_disk(temporary, exclude=[*turned, "config"])


def describe_model(source: Source) -> tuple[str, int, int, list[float]]:
    """RETURNS (tuple): `tokenizer`, `maximum`, `pad` and `empty` of OnnxClassifier."""
    tokenizer = source.shim._hfmodel.tokenizer
    backend = tokenizer.backend_tokenizer
    disable_limits(backend)
    bias = source.output.ops.to_numpy(source.output.get_param("b"))
    maximum = most_wordpieces(source.shim._hfmodel)
    return backend.to_str(), maximum, tokenizer.pad_token_id or 0, bias.tolist()


def fill(slim: Language, source: Source, classifier: OnnxClassifier) -> None:
    """Give the slim pipeline's recogniser its labels, settings, weights and casings."""
    head = cast(TokenNER, slim.get_pipe(source.name))
    head.cfg = dict(source.head.cfg)
    for label in head.labels:
        slim.vocab.strings.add(label)
    head.set_columns()
    cast(OnnxShim, head.model.shims[0]).classifier = classifier
    head.model.attrs[TRUECASER] = source.transformer.attrs[TRUECASER]
