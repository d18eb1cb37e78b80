"""What can be wrong with settings and pipelines. Needs spaCy only."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast, get_args

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab
from thinc.api import Model

from .calibration import Calibration

Scheme = Literal["bio", "bilou", "io"]
Floor = float | dict[str, float]  # a least score, for all types or by type
# The least that a setting may be. Millions of spans are below a thousandth.
FLOORS = {"threshold": 0.0, "candidates": 0.001}
COLUMNS = "columns"  # the attribute of a head's output that names its columns
LISTENER = "transformer-listener"  # the name of spacy-transformers' layer
ONNX_CLASSIFIER = "onnx-token-classifier"  # the name of a slim pipeline's model
UNTRAINABLE = (
    "a slim pipeline can't be trained: train the pipeline that it was made from, and run "
    "spacy ner slim again"
)
TRF_DATA = ("._.", "trf_data", None, None)  # where doc._.trf_data is, which takes longer to read


def check_floor(
    name: str, setting: str, value: Floor | None, labels: Sequence[str]
) -> Floor | None:
    """RAISES (ValueError): If a component's threshold or least score of a candidate is neither
    None nor a number from its least to 1, nor such numbers by type; or a type isn't in `labels`, if
    there are some."""
    least = FLOORS[setting]
    by_type = value if isinstance(value, Mapping) else {}
    for number in by_type.values() if isinstance(value, Mapping) else [value]:
        is_number = isinstance(number, int | float) and least <= number <= 1
        if number is not None and not is_number:
            raise ValueError(f"{name}: {setting} must be from {least:g} to 1, not {number}")
    unknown = sorted(set(by_type) - set(labels))
    if labels and unknown:
        raise ValueError(f"{name}: {setting} is given for {unknown[0]}, which isn't a type of it")
    return value


def check_scheme(name: str, scheme: str) -> None:
    """RAISES (ValueError): If a component's label scheme isn't one."""
    if scheme not in get_args(Scheme):
        raise ValueError(f'{name}: scheme must be "bio", "bilou" or "io", not "{scheme}"')


def check_settings(name: str, cfg: Mapping[str, Any]) -> None:
    """RAISES (ValueError): If a component's saved settings have other types or values than those
    that it saves."""
    labels, rate = cfg["labels"], cfg["learn_rate_factor"]
    is_list = isinstance(labels, list) and all(isinstance(x, str) and x for x in labels)
    if not is_list or len(set(labels)) < len(labels):
        raise ValueError(f"{name}: the saved labels must be different texts that aren't empty")
    check_scheme(name, cfg["scheme"])
    for setting in FLOORS:
        check_floor(name, setting, cfg[setting], labels)
    if not isinstance(cfg["spans_key"], str | None):
        raise ValueError(f"{name}: spans_key must be a text or null")
    if not isinstance(rate, int | float) or not 0 <= rate < math.inf:
        raise ValueError(f"{name}: learn_rate_factor must be 0 or more")
    if cfg["calibration"] is not None:
        try:
            Calibration.from_settings(cfg["calibration"])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def check_columns(name: str, model: Model[Any, Any], word_labels: Sequence[str]) -> None:
    """RAISES (ValueError): If a trained model has other columns than those of the labels."""
    output = model.get_ref("output")
    widths = {output.maybe_get_dim("nO")} - {None}
    parameters = [output.get_param(key) for key in output.param_names if output.has_param(key)]
    widths |= {len(cast(Any, rows)) for rows in parameters}
    if widths and widths != {len(word_labels)}:
        listed = " and ".join(map(str, sorted(cast(set[int], widths))))
        raise ValueError(
            f"{name}: the labels in cfg need {len(word_labels)} columns, and the model has {listed}"
        )
    names = output.attrs.get(COLUMNS)
    if names is not None and list(names) != list(word_labels):
        raise ValueError(f"{name}: the labels in cfg are not those that the model was trained with")


def check_trainable(name: str, model: Model[Any, Any]) -> None:
    """RAISES (ValueError): If a component is that of a slim pipeline."""
    if model.name == ONNX_CLASSIFIER:
        raise ValueError(f"{name}: {UNTRAINABLE}")


def check_prediction(name: str, model: Model[Any, Any], width: int) -> None:
    """Let the model of a slim pipeline predict a word and a space: nothing else reads its saved
    values before the first text.

    width (int): The number of its columns.
    RAISES (ValueError): If that fails, or the logits aren't finite.
    """
    shim: Any = next(iter(model.shims), None)
    if model.name != ONNX_CLASSIFIER or shim.is_empty:
        return
    try:
        shim.check()
        (logits,) = model.predict([Doc(Vocab(), words=["a", "\n"])])
        is_valid = logits.shape == (2, width) and bool(model.ops.xp.isfinite(logits).all())
    except ImportError:
        raise
    except Exception as error:  # of ONNX Runtime's and tokenizers' many kinds
        raise ValueError(f"{name}: the saved model can't predict: {error}") from error
    if not is_valid:
        raise ValueError(f"{name}: the saved model doesn't give finite logits for {width} labels")


def has_transformer(model: Model[Any, Any]) -> bool:
    """RETURNS (bool): Whether a model listens to a transformer."""
    return any(node.name == LISTENER for node in model.walk())


def warn_without_transformer(name: str, model: Model[Any, Any], docs: Iterable[Doc]) -> None:
    """Warn if a component listens to a transformer that is disabled or excluded: the listener then
    gives zeros, without an error."""
    if not has_transformer(model):
        return
    if any(len(doc) and cast(Any, doc.user_data).get(TRF_DATA) is None for doc in docs):
        warnings.warn(
            f"{name}: the documents have no output of a transformer, so the mentions are "
            "meaningless; don't disable or exclude the transformer",
            stacklevel=2,
        )


def has_own_score() -> bool:
    """RETURNS (bool): Whether `ent._.score` is defined, and by a copy of this package."""
    _, _, getter, _ = Span.get_extension("score") or (None, None, None, None)
    return getattr(getter, "is_token_ner", False)


def warn_without_score(name: str) -> None:
    """Warn if an app has a `Span` extension `score` of its own, from before the package was
    imported, or set with `force=True` since. It stays as it is."""
    if not has_own_score():
        package = __name__.rpartition(".")[0]
        warnings.warn(
            f"{name}: ent._.score is not the score of a mention, because the `Span` extension "
            f"`score` is not token_ner's; rename that extension, or call {package}.span_score(ent)",
            stacklevel=1,  # always this line, so that Python shows it once
        )
