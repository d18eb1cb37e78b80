"""Load token-classification checkpoints, with one-line error messages."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from conll_ner.common.console import InputError
from conll_ner.common.hf_loading import load_model, load_tokenizer
from conll_ner.common.hub import is_hub_id

# Raised by transformers for broken files. ImportError: the tokenizer needs a missing package.
LOADING_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    ImportError,
    SafetensorError,
)


@contextmanager
def as_input_error(what: str) -> Iterator[None]:
    """Convert errors of transformers to an InputError with a one-line message."""
    try:
        yield
    except InputError:
        raise
    except LOADING_ERRORS as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{what}: {reason[:300]}") from None


# Of transformers, in alphabetical order: all of which a test has imported a checkpoint, with the
# logits of transformers. Others read more than text (LayoutLM), have other heads (ModernBERT, the
# decoders), no limit to their windows (XLNet), or logits that depend on padding (ConvBERT).
MODEL_TYPES = (
    *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie"),
    *("megatron-bert", "mobilebert", "mpnet", "rembert", "roberta", "xlm-roberta"),
)
HEAD = "classifier"  # the name of the head in transformers' token classifiers


def load_checkpoint(checkpoint: str) -> Any:
    """RETURNS (PreTrainedModel): The checkpoint's token classifier.
    RAISES (InputError): If it can't be loaded, or `token_ner` can't import it."""
    if os.sep in checkpoint and not Path(checkpoint).is_dir() and not is_hub_id(checkpoint):
        raise InputError(f"{checkpoint}: no such folder; give a checkpoint's folder or a hub id")
    with as_input_error(f"{checkpoint} is not a checkpoint that transformers can load"):
        check_model_type(checkpoint)
        config = transformers.AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
        if config.model_type not in MODEL_TYPES:
            raise InputError(
                f"{checkpoint}: models of type {config.model_type} were never tried; those that "
                f"can be imported are {', '.join(MODEL_TYPES)}"
            )
        architectures = config.architectures or ["none"]
        if not any(name.endswith("ForTokenClassification") for name in architectures):
            raise InputError(
                f"{checkpoint} contains {', '.join(architectures)}, not a token classifier; train "
                "one with spacy ner hf-train, or give another checkpoint"
            )
        model, loading = load_model(
            transformers.AutoModelForTokenClassification, checkpoint, output_loading_info=True
        )
    if loading["missing_keys"] or loading["mismatched_keys"]:
        wrong = [*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])]
        raise InputError(
            f"{checkpoint}: weights are missing or have the wrong shape: {', '.join(wrong)}"
        )
    check_head(model, checkpoint)
    with as_input_error(f"{checkpoint}: its tokenizer can't be loaded; save it in this folder"):
        tokenizer = load_tokenizer(checkpoint)
    check_vocabulary(model, tokenizer, checkpoint)
    return model


def check_model_type(checkpoint: str) -> None:
    """RAISES (InputError): If the model needs code that comes with the checkpoint."""
    settings, _ = transformers.PretrainedConfig.get_config_dict(checkpoint)
    model_type = settings.get("model_type")
    if "auto_map" in settings and model_type not in transformers.CONFIG_MAPPING:
        raise InputError(
            f"{checkpoint}: transformers has no model of type {model_type}; it would need code "
            "that comes with the checkpoint, which is never run"
        )


def check_head(model: Any, checkpoint: str) -> None:
    """RAISES (InputError): If the head is anything but dropout and one linear layer."""
    head = {name: m for name, m in model.named_children() if m is not model.base_model}
    classifier = head.pop(HEAD, None)
    others = [name for name, module in head.items() if not isinstance(module, torch.nn.Dropout)]
    if not isinstance(classifier, torch.nn.Linear) or others:
        parts = ", ".join(f"{name} ({type(module).__name__})" for name, module in head.items())
        raise InputError(
            f"{checkpoint}: the head of {type(model).__name__} is not dropout and one linear "
            f"layer ({HEAD}: {type(classifier).__name__}; other modules: {parts or 'none'}); "
            "token_ner supports no other head"
        )


def check_vocabulary(model: Any, tokenizer: Any, checkpoint: str) -> None:
    """RAISES (InputError): If the tokenizer is larger than the model's vocabulary, or is slow."""
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise InputError(
            f"{checkpoint}: the tokenizer has {len(tokenizer):,} wordpieces, the model {rows:,}; "
            "use the tokenizer that the model was trained with"
        )
    if not tokenizer.is_fast:
        raise InputError(
            f"{checkpoint}: {type(tokenizer).__name__} is a slow tokenizer; save a fast one "
            "(tokenizer.json) in this folder"
        )
