"""Calibrated scores: a logistic function of a mention's log-odds, fitted on dev (Platt 1999,
"Probabilistic outputs for support vector machines"), and of whether training had a mention with
this text. Needs numpy only."""

import base64
import math
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple, cast

import numpy

from .types import Array

LEAST = 1e-6  # scores are clipped to [LEAST, 1 - LEAST], so that log-odds are finite


class Calibration(NamedTuple):
    """The fitted function: log-odds of the calibrated score = slope * log-odds + intercept, plus
    `unseen` for a mention whose text is not among `seen`. It can be inverted."""

    slope: float  # above 0
    intercept: float
    unseen: float = 0.0
    seen: frozenset[int] = frozenset()  # `text_key` of the mentions of the training data

    def apply(self, scores: Array, texts: Iterable[str]) -> Array:
        """Calibrate the scores of mentions.

        scores (Array): (n_mentions,).
        texts (Iterable[str]): Of the mentions. They are read only if `unseen` isn't 0.
        RETURNS (Array): (n_mentions,).
        """
        return sigmoid(self.slope * log_odds(scores) + self.offsets(texts))

    def undo(self, scores: Array, texts: Iterable[str]) -> Array:
        """RETURNS (Array): The scores before calibration, clipped: (n_mentions,)."""
        return sigmoid((log_odds(scores) - self.offsets(texts)) / self.slope)

    def offsets(self, texts: Iterable[str]) -> Array | float:
        """RETURNS (Array | float): What is added to the log-odds: (n_mentions,), or a number for
        all mentions."""
        if not self.unseen:
            return self.intercept
        return self.intercept + self.unseen * is_unseen(texts, self.seen)

    def to_settings(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The function as JSON; `seen` as base64 of little-endian 64-bit
        integers."""
        keys = numpy.array(sorted(self.seen), dtype="<u8")
        return self._asdict() | {"seen": base64.b64encode(keys.tobytes()).decode("ascii")}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "Calibration":
        """RETURNS (Calibration): The function from its JSON.
        RAISES (ValueError): If it isn't what `to_settings` gives."""
        try:
            calibration = cls(**settings | {"seen": decode_keys(settings["seen"])})
            is_valid = all(map(math.isfinite, calibration[:3])) and calibration.slope > 0
        except (TypeError, KeyError, ValueError, OverflowError):
            is_valid = False
        if not is_valid:
            raise ValueError(
                "the saved calibration is not a function: fit it again with spacy ner calibrate"
            )
        return calibration


@lru_cache(maxsize=8)
def decode_keys(text: str) -> frozenset[int]:
    """RETURNS (frozenset[int]): The keys of `Calibration.to_settings`."""
    return frozenset(numpy.frombuffer(base64.b64decode(text, validate=True), "<u8").tolist())


@lru_cache(maxsize=2**14)  # names come again in most texts; a few MB
def text_key(text: str) -> int:
    """RETURNS (int): A 64-bit hash of a mention's text, the same for every letter case and
    tokenization. The texts themselves stay out of the pipeline: a corpus may be confidential."""
    letters = "".join(text.lower().split())
    return int.from_bytes(blake2b(letters.encode(), digest_size=8).digest(), "little")


def is_unseen(texts: Iterable[str], seen: frozenset[int]) -> Array:
    """RETURNS (Array): 1 for a mention whose text is not among `seen`, 0 for others:
    (n_mentions,)."""
    return numpy.array([text_key(text) not in seen for text in texts], dtype="float64")


def log_odds(scores: Array) -> Array:
    """RETURNS (Array): log(p / (1 - p)) of the clipped scores."""
    clipped = numpy.clip(scores, LEAST, 1 - LEAST)
    return cast(Array, numpy.log(clipped) - numpy.log1p(-clipped))


def sigmoid(values: Array) -> Array:
    """RETURNS (Array): 1 / (1 + exp(-values))."""
    return cast(Array, 0.5 * (1 + numpy.tanh(0.5 * numpy.asarray(values))))
