"""Training and mentions of small pipelines, for the tests of the component."""

from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

from token_ner import ScoredMention, TokenNER
from token_ner.decoding import Prediction

PERSON = {"entities": [(0, 13, "PER"), (19, 27, "LOC")]}
TEXTS: list[tuple[str, dict[str, Any]]] = [
    ("Ada Lindqvist left Varnholm.", PERSON),
    ("The Norden Bank fell.", {"entities": [(4, 15, "ORG")]}),
    ("Nothing happened here at all.", {"entities": []}),
]
Found = list[tuple[int, int, str, float]]


def add_backbone(nlp: Language, backbone: Path, **settings: Any) -> None:
    model = {"@architectures": "conll_ner.WindowedTransformer.v1", "name": str(backbone)}
    nlp.add_pipe("transformer", config={"model": model | {"precision": "float32"} | settings})


def make_examples(nlp: Language) -> list[Example]:
    return [Example.from_dict(nlp.make_doc(text), gold) for text, gold in TEXTS]


def train(nlp: Language, examples: list[Example], updates: int) -> list[dict[str, float]]:
    fix_random_seed(0)
    nlp.initialize(lambda: examples)
    optimizer = Adam(0.005, use_averages=False, L2=0.0)
    history = []
    for _ in range(updates):
        losses: dict[str, float] = {}
        nlp.update(examples, sgd=optimizer, losses=losses)
        history.append(losses)
    return history


def make_trained(backbone: Path, **config: Any) -> tuple[Language, list[dict[str, float]]]:
    nlp = spacy.blank("en")
    add_backbone(nlp, backbone, window=64)
    nlp.add_pipe("token_ner", config=config)
    return nlp, train(nlp, make_examples(nlp), updates=60)


def mentions(doc: Doc) -> Found:
    return [(ent.start, ent.end, ent.label_, ent._.score) for ent in doc.ents]


def annotate(head: TokenNER, doc: Doc, found: list[ScoredMention]) -> None:
    head.set_annotations([doc], [Prediction(found, None)])
