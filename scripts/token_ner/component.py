"""The spaCy component `token_ner`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy
from spacy.errors import Errors
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer
from thinc.types import Floats2d

from .calibration import Calibration
from .checks import (
    COLUMNS,
    Floor,
    Scheme,
    check_columns,
    check_floor,
    check_prediction,
    check_scheme,
    check_settings,
    check_trainable,
    has_transformer,
    warn_without_score,
    warn_without_transformer,
)
from .decoding import Chain, Prediction, floor_by_type, score_mentions, undo_floors
from .lattice import Lattice, log_softmax
from .paths import best_log_probability
from .span_scores import find_entries, group_candidates, keep_scores
from .training.loss import Watch, check_weights, cross_entropy, weigh_columns
from .training.targets import list_labels, make_targets
from .truecasing import collect_casings
from .types import Array, ModelArray


class TokenNER(TrainablePipe):  # type: ignore[misc]
    """Named-entity recognition with one label per word, decoded to a legal sequence, and a score
    for every mention.

    Mentions are in `doc.ents`, and the score of an `ent` is `ent._.score`. It is the probability of
    exactly that span with that label: the share of all legal label sequences of the document, each
    weighted by the product of its labels' probabilities, in which it is a mention. If the pipeline
    was calibrated (`calibration`), that share is the input of the calibration, and its output is
    the score.

    vocab (Vocab): The shared vocabulary.
    model (Model): Gives each word of a document a row of logits.
    name (str): The component's name.
    scheme (str): "bio" or "bilou": the labels that the model learns. "io": those of BIO, but
        adjacent words of one type are one mention, as in checkpoints that have no B.
    threshold (Floor | None): Mentions with a lower (calibrated) score are dropped: one number, or
        one for each type. None keeps all.
    candidates (Floor | None): All spans with at least this (calibrated) score, overlapping ones
        too, are in `doc.spans[name + "_candidates"]`, with `attrs["scores"]` parallel to them; None
        for no such group.
    spans_key (str | None): Where the mentions are in `doc.spans` too, in the same order, with
        `attrs["scores"]` parallel to them; None for nowhere.
    learn_rate_factor (float): The head's learning rate, as a multiple of the optimizer's.
    label_weights (dict[str, float] | None): Weights in the loss of words by the type of their
        mention, or "O" for those outside; 1 for others. None for all alike.
    scorer (Callable | None): Scores `doc.ents`.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], list[Floats2d]],
        name: str = "token_ner",
        *,
        scheme: Scheme = "bio",
        threshold: Floor | None = None,
        candidates: Floor | None = None,
        spans_key: str | None = None,
        learn_rate_factor: float = 5.0,
        label_weights: dict[str, float] | None = None,
        scorer: Callable[..., Any] | None = None,
    ) -> None:
        check_scheme(name, scheme)
        check_weights(name, label_weights, ())
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.label_weights, self.watch = label_weights, Watch()
        self.cfg: dict[str, Any] = {
            "labels": [],
            "scheme": scheme,
            "threshold": None,
            "candidates": None,
            "spans_key": spans_key,
            "calibration": None,
            "learn_rate_factor": learn_rate_factor,
        }
        self.threshold, self.candidates = threshold, candidates

    @property
    def threshold(self) -> Floor | None:
        """RETURNS (Floor | None): Mentions with a lower (calibrated) score are dropped; None keeps
        all. A value in the pipeline's config wins over the saved one, so it can be set on loading.
        RAISES (ValueError): If it isn't from 0 to 1, or has a type that isn't in `labels`."""
        return check_floor(self.name, "threshold", self.cfg["threshold"], self.labels)

    @threshold.setter
    def threshold(self, value: Floor | None) -> None:
        self.cfg["threshold"] = check_floor(self.name, "threshold", value, self.labels)

    @property
    def thresholds(self) -> dict[str, float]:
        """RETURNS (dict[str, float]): The threshold of each type."""
        return floor_by_type(self.threshold, self.labels, 0.0)

    @property
    def candidates(self) -> Floor | None:
        """RETURNS (Floor | None): The least (calibrated) score of a candidate; None for no
        candidates. As for `threshold`, a value in the config wins.
        RAISES (ValueError): As `threshold`, and below 0.001."""
        return check_floor(self.name, "candidates", self.cfg["candidates"], self.labels)

    @candidates.setter
    def candidates(self, value: Floor | None) -> None:
        self.cfg["candidates"] = check_floor(self.name, "candidates", value, self.labels)

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The types of mentions."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> list[str]:
        """RETURNS (list[str]): What `spacy init labels` saves."""
        return list(self.cfg["labels"])

    @property
    def calibration(self) -> Calibration | None:
        """RETURNS (Calibration | None): The function that scores are calibrated with, fitted by
        spacy ner train or spacy ner calibrate; None if scores are used as they are."""
        fitted = self.cfg["calibration"]
        return None if fitted is None else Calibration.from_settings(fitted)

    @property
    def lattice(self) -> Lattice:
        scheme = self.cfg["scheme"]
        return Lattice(len(self.labels), bilou=scheme == "bilou", joined=scheme == "io")

    @property
    def word_labels(self) -> list[str]:
        """RETURNS (list[str]): The names of the model's columns: O, all B, all I, and in BILOU
        all L and all U."""
        return list_labels(self.labels, self.cfg["scheme"] == "bilou")

    def add_label(self, label: str) -> int:
        """Add a type of mentions, before the model is initialized.

        RETURNS (int): 1 if it was added, 0 if it was there.
        """
        if not isinstance(label, str) or not label:
            raise ValueError(Errors.E187)
        if label in self.labels:
            return 0
        check_trainable(self.name, self.model)
        if self.model.get_ref("output").has_dim("nO"):
            raise ValueError(Errors.E922.format(name=self.name, nO=len(self.word_labels)))
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        return 1

    def set_columns(self) -> None:
        """Give the model a column for each of the `word_labels`, whose names it keeps."""
        output = self.model.get_ref("output")
        output.set_dim("nO", len(self.word_labels))
        output.attrs[COLUMNS] = self.word_labels

    def predict(self, docs: Iterable[Doc]) -> list[Prediction]:
        """RETURNS (list[Prediction]): For each document its mentions, in order, and candidates."""
        docs = list(docs)
        if not any(len(doc) for doc in docs):
            return [Prediction([], [] if self.candidates else None) for _ in docs]
        warn_without_score(self.name)
        warn_without_transformer(self.name, self.model, docs)
        return self.decode_docs(docs, self.model.predict(docs))

    def decode_docs(self, docs: Sequence[Doc], logits: Sequence[ModelArray]) -> list[Prediction]:
        """Decode documents, and calibrate the scores.

        logits (Sequence[ModelArray]): For each document (n_words, n_labels).
        RETURNS (list[Prediction]): For each document its mentions, in order, and candidates.
        RAISES (FloatingPointError): If a logit isn't finite.
        """
        flat = self.flatten(logits)
        if not numpy.isfinite(flat).all():
            raise FloatingPointError(
                f"{self.name}: logits are not finite: the weights are broken, as after "
                "training at too high a learning rate"
            )
        is_word = [doc.to_array("IS_SPACE") == 0 for doc in docs]
        chain = Chain(self.lattice, flat, is_word)
        calibration, labels = self.calibration, self.labels
        mentions = score_mentions(docs, chain.best(), labels, calibration, self.thresholds)
        if self.candidates is None:
            return [Prediction(found, None) for found in mentions]
        floors = floor_by_type(self.candidates, labels, 1.0)
        least = undo_floors(calibration, list(floors.values()))
        candidates = score_mentions(docs, chain.candidates(least), labels, calibration, floors)
        return [Prediction(*found) for found in zip(mentions, candidates, strict=True)]

    def log_probability(self, doc: Doc, logits: ModelArray) -> float:
        """RETURNS (float): The log-probability of the mentions that `decode_docs` finds in a
        document, all together; 0 for one without words. logits: (n_words, n_labels)."""
        words = self.flatten([logits])[doc.to_array("IS_SPACE") == 0].astype("float64")
        chain = numpy.concatenate([log_softmax(words), self.lattice.separator])
        return best_log_probability(self.lattice, chain)

    def set_annotations(self, docs: Iterable[Doc], predictions: list[Prediction]) -> None:
        """Write mentions into `doc.ents`, their scores where `ent._.score` finds them, and, with
        `spans_key`, both into a span group; candidates into a group of their own.

        Mentions of other components are kept. Predictions that overlap them, or a token that
        `doc.set_ents` blocked, are dropped, but they stay candidates.
        """
        for doc, (mentions, candidates) in zip(docs, predictions, strict=True):
            others, blocked = self.earlier_annotations(doc)
            if others or blocked:
                taken = numpy.zeros(len(doc), dtype=bool)
                for span in (*others, *blocked):
                    taken[span.start : span.end] = True
                mentions = [m for m in mentions if not taken[m.start : m.end].any()]
            spans = keep_scores(doc, self.name, mentions, self.cfg["spans_key"])
            group_candidates(doc, self.name, candidates)
            doc.set_ents([*others, *spans], blocked=blocked, default="outside")

    def earlier_annotations(self, doc: Doc) -> tuple[list[Span], list[Span]]:
        """RETURNS (tuple[list[Span], list[Span]]): Mentions that this component didn't set, and
        blocked tokens."""
        if not doc.has_annotation("ENT_IOB"):
            return [], []
        own = {mention for _, _, mention in find_entries(doc, self.name)}
        others = [e for e in doc.ents if (e.start_char, e.end_char, e.label_) not in own]
        iob, types = doc.to_array(["ENT_IOB", "ENT_TYPE"]).T
        # spaCy marks a blocked token by B without a type.
        blocked = [doc[i : i + 1] for i in numpy.flatnonzero((iob == 3) & (types == 0)).tolist()]
        return others, blocked

    def get_loss(
        self, examples: Iterable[Example], scores: Sequence[ModelArray]
    ) -> tuple[float, list[ModelArray]]:
        """Cross-entropy of the gold labels, or of a teacher's distributions over labels
        (`soft_labels`), its mean over the words that have one, by `label_weights`.

        scores (Sequence[ModelArray]): For each document logits (n_words, n_labels).
        RETURNS (tuple[float, list[ModelArray]]): The loss, and its gradients by the logits.
            Words whose gold is missing or doesn't align, and whitespace, have zeros.
        """
        check_trainable(self.name, self.model)
        bilou = self.cfg["scheme"] == "bilou"
        targets = numpy.concatenate([make_targets(eg, self.labels, bilou) for eg in examples])
        logits = self.flatten(scores)
        self.watch.see(logits, targets)
        weights = weigh_columns(self.label_weights, self.word_labels)
        loss, gradient = cross_entropy(logits, targets, weights)
        ends = numpy.cumsum([len(s) for s in scores])[:-1].tolist()
        on_device: ModelArray = self.model.ops.asarray(cast(Any, gradient))
        return loss, self.model.ops.xp.split(on_device, ends)

    def flatten(self, logits: Sequence[ModelArray]) -> Array:
        """RETURNS (Array): The logits of all documents, (n_words of all, n_labels), in one
        transfer from the device."""
        return cast(Array, self.model.ops.to_numpy(self.model.ops.xp.concatenate(logits)))

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Keep what the config sets of `threshold`, `candidates` and `spans_key` while the rest is
        read.
        RAISES (ValueError): If settings, labels and model don't fit together."""
        given = {key: self.cfg[key] for key in ("threshold", "candidates", "spans_key")}
        yield
        self.cfg |= {key: value for key, value in given.items() if value is not None}
        check_settings(self.name, self.cfg)
        check_columns(self.name, self.model, self.word_labels)
        check_prediction(self.name, self.model, len(self.word_labels))
        warn_without_score(self.name)

    def from_disk(self, path: Path | str, *, exclude: Sequence[str] = ()) -> "TokenNER":
        with self.loading():
            return cast(TokenNER, super().from_disk(path, exclude=exclude))

    def from_bytes(self, bytes_data: bytes, *, exclude: Sequence[str] = ()) -> "TokenNER":
        with self.loading():
            return cast(TokenNER, super().from_bytes(bytes_data, exclude=exclude))

    def finish_update(self, sgd: Optimizer) -> None:
        """Update the weights; those of the head with its own learning rate and no weight decay."""
        check_trainable(self.name, self.model)
        width = self.model.get_ref("output").get_dim("nI") if has_transformer(self.model) else 0
        self.watch.warn(self.name, sgd.learn_rate, width)
        self.model.get_ref("tok2vec").finish_update(sgd)
        at_own_rate = partial(sgd, lr_scale=self.cfg["learn_rate_factor"])
        decay, sgd.L2 = sgd.L2, 0.0
        try:
            self.model.get_ref("output").finish_update(cast(Optimizer, at_own_rate))
        finally:
            sgd.L2 = decay

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Collect the types, initialize the model, and collect letter case for its backbone.

        get_examples (Callable): Gives gold examples.
        labels (Sequence[str] | None): The types, if known (`spacy init labels`).
        RAISES (ValueError): If there is no example, or no type.
        """
        check_trainable(self.name, self.model)
        sample: list[Doc] = []
        found: set[str] = set()
        for eg in get_examples():
            if len(sample) < 10 and len(eg.predicted):
                sample.append(eg.predicted)
            if labels is None:
                found.update(ent.label_ for ent in eg.reference.ents)
        for label in sorted(found) if labels is None else labels:
            self.add_label(label)
        if not self.labels:
            raise ValueError(Errors.E143.format(name=self.name))
        check_weights(self.name, self.label_weights, self.labels)
        if not sample:
            raise ValueError(Errors.E923.format(name=self.name))
        self.set_columns()
        self.model.initialize(X=sample)
        collect_casings(self.model, nlp, get_examples)
