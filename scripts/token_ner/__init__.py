"""`token_ner`: named-entity recognition with one label per word on top of a pretrained transformer.

spaCy's config system joins two parts. The backbone cuts whole documents into windows of wordpieces
and runs a Hugging Face model on them. The head gives every word, from its first wordpiece, a
distribution over labels, and decodes each document to the best legal label sequence. The score of
a mention is the probability of exactly that span with that label: the share of all legal
sequences that contain it, each weighted by the product of its label probabilities, calibrated on
dev.

The package is self-contained, and is copied into model wheels. Only `torch_model` needs torch;
`onnx_model` predicts without it.
"""

from .about import __version__
from .calibration import Calibration, is_unseen, log_odds, text_key
from .checks import ONNX_CLASSIFIER
from .component import TokenNER
from .raw_text import detokenize, moses_doc
from .registration import register
from .span_scores import (
    ScoredMention,
    gives_candidates,
    group_scores,
    keep_candidates,
    list_candidates,
    span_score,
)
from .training.augmentation import copy_gold, final_punctuation
from .training.soft_labels import SoftLabels, set_soft_labels
from .training.targets import BIO_PREFIXES
from .untrusted import refuse_code, refuse_kernels
from .windows import WINDOWED_TRANSFORMER, sentence_starts

__all__ = [
    "BIO_PREFIXES",
    "ONNX_CLASSIFIER",
    "WINDOWED_TRANSFORMER",
    "Calibration",
    "ScoredMention",
    "SoftLabels",
    "TokenNER",
    "__version__",
    "copy_gold",
    "detokenize",
    "final_punctuation",
    "gives_candidates",
    "group_scores",
    "is_unseen",
    "keep_candidates",
    "list_candidates",
    "log_odds",
    "moses_doc",
    "refuse_code",
    "refuse_kernels",
    "sentence_starts",
    "set_soft_labels",
    "span_score",
    "text_key",
]
register()
