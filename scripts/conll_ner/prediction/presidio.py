"""A recogniser for Microsoft's Presidio, with the scores and candidates of a pipeline.

Presidio's own recogniser of spaCy pipelines gives each mention the score 0.85. It needs the extra
`presidio`, and is no part of a command.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import spacy
from presidio_analyzer import (
    AnalysisExplanation,
    AnalyzerEngine,
    EntityRecognizer,
    RecognizerRegistry,
    RecognizerResult,
)
from presidio_analyzer.nlp_engine import NlpArtifacts, SpacyNlpEngine
from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.pipelines import find_heads
from conll_ner.data.mentions import describe_candidates, list_mentions

# Presidio's names of CoNLL-2003's types. Other labels keep their names.
LABELS = {"PER": "PERSON", "LOC": "LOCATION", "ORG": "ORGANIZATION"}


class TokenNERRecognizer(EntityRecognizer):  # type: ignore[misc]
    """Gives an AnalyzerEngine the mentions of a pipeline, full or slim, with their scores.

    pipeline (str | Path | Language): The pipeline, its folder, or its package.
    labels (Mapping[str, str]): Presidio's names by the pipeline's.
    candidates (float | None): Also give all other spans with at least this score; None is the
        pipeline's own setting.
    RAISES (ValueError): If the pipeline has no `token_ner`.
    """

    def __init__(
        self,
        pipeline: str | Path | Language,
        labels: Mapping[str, str] = LABELS,
        candidates: float | None = None,
    ) -> None:
        self.nlp = pipeline if isinstance(pipeline, Language) else spacy.load(pipeline)
        self.labels = labels
        heads = find_heads(self.nlp).values()
        if not heads:
            raise ValueError("the pipeline has no token_ner, so its mentions have no scores")
        for head in heads if candidates is not None else ():
            head.candidates = candidates
        known = {label for head in heads for label in head.labels}
        entities = sorted(labels.get(label, label) for label in known)
        super().__init__(supported_entities=entities, supported_language=self.nlp.lang)

    def load(self) -> None:
        """Nothing is left to load."""

    def analyze(
        self, text: str, entities: Sequence[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """RETURNS (list[RecognizerResult]): The mentions and candidates with these names. A text
        that Presidio has annotated with the same pipeline isn't annotated again."""
        if nlp_artifacts is not None and nlp_artifacts.tokens.vocab is self.nlp.vocab:
            return self.find(nlp_artifacts.tokens, entities)
        with self.nlp.memory_zone():
            return self.find(self.nlp(text), entities)

    def find(self, doc: Doc, entities: Sequence[str]) -> list[RecognizerResult]:
        found: dict[tuple[str, int, int], float] = {}
        for row in (*list_mentions(doc), *describe_candidates(doc)):
            name = self.labels.get(row["label"], row["label"])
            if row["score"] is not None and name in entities:
                found[name, row["start"], row["end"]] = row["score"]
        return [
            RecognizerResult(
                *key,
                score,
                AnalysisExplanation(self.name, score, textual_explanation="token_ner's score"),
                {
                    RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
                    RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
                },
            )
            for key, score in found.items()
        ]


def make_analyzer(
    pipeline: str | Path | Language,
    labels: Mapping[str, str] = LABELS,
    candidates: float | None = None,
) -> AnalyzerEngine:
    """RETURNS (AnalyzerEngine): With Presidio's recognisers of patterns, and the pipeline in place
    of its recogniser of spaCy pipelines. It reads each text once. Arguments: as for
    `TokenNERRecognizer`."""
    recognizer = TokenNERRecognizer(pipeline, labels, candidates)
    nlp = recognizer.nlp
    engine = SpacyNlpEngine([{"lang_code": nlp.lang, "model_name": nlp.meta["name"]}])
    engine.nlp = {nlp.lang: nlp}  # it loads nothing then
    registry = RecognizerRegistry(supported_languages=[nlp.lang])
    registry.load_predefined_recognizers([nlp.lang], engine)
    registry.remove_recognizer("SpacyRecognizer")
    registry.add_recognizer(recognizer)
    return AnalyzerEngine(registry, engine, supported_languages=[nlp.lang])
