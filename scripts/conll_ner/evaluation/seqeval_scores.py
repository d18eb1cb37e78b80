"""Precision, recall and F1 by seqeval, checked against spaCy's scorer."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
from seqeval.metrics import accuracy_score, classification_report
from seqeval.scheme import IOB2
from spacy.language import Language
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc
from spacy.training import Example

from conll_ner.common.pipelines import drop_transformer_output, mention_labels
from conll_ner.common.progress import track_words

# seqeval's default mode follows conlleval.pl. Strict mode needs both arguments.
PROTOCOLS: dict[str, dict[str, Any]] = {
    "conlleval": {},
    "strict": {"mode": "strict", "scheme": IOB2},
}
OVERALL = "micro avg"  # seqeval's row for all types


def unknown_types(nlp: Language, gold: Sequence[Doc]) -> list[str]:
    """RETURNS (list[str]): Types of gold mentions that no component can predict, sorted; empty if
    the pipeline doesn't list its types."""
    known = set(mention_labels(nlp))
    found = {ent.label_ for doc in gold for ent in doc.ents}
    return sorted(found - known) if known else []


def annotate_gold(
    nlp: Language,
    gold: Sequence[Doc],
    *,
    gold_sentences: bool = False,
    visit: Callable[[Doc], None] | None = None,
) -> list[Doc]:
    """Annotate new docs with the same words.

    visit (Callable[[Doc], None] | None): Called with each doc while it has the transformer's
        output, which it then loses: that of all docs would not fit on a GPU.
    RETURNS (list[Doc]): The annotated docs.
    RAISES (FloatingPointError): If the pipeline's weights give non-finite scores.
    """
    docs = []
    copies = (copy_words(doc, nlp, gold_sentences) for doc in gold)
    for doc, expected in zip(track_words(nlp.pipe(copies), gold), gold, strict=True):
        if visit is not None:
            visit(doc)
        drop_transformer_output(doc)
        drop_unlabelled(doc, expected)
        docs.append(doc)
    return docs


def drop_unlabelled(predicted: Doc, gold: Doc) -> None:
    """Drop the mentions with a word that has no label in gold: nobody knows whether they are right,
    and spaCy's scorer ignores them too. Both documents have the same text."""
    missing = numpy.flatnonzero(gold.to_array("ENT_IOB") == 0).tolist()
    if not missing:
        return
    unlabelled = numpy.zeros(len(gold.text), dtype=bool)
    for token in (gold[i] for i in missing):
        unlabelled[token.idx : token.idx + len(token)] = True
    kept = [e for e in predicted.ents if not unlabelled[e.start_char : e.end_char].any()]
    predicted.set_ents(kept, default="outside")


def copy_words(doc: Doc, nlp: Language, gold_sentences: bool = False) -> Doc:
    """RETURNS (Doc): A copy with words and, if they are known, spaces, so that its text is gold's;
    and with gold sentence starts if they are asked for."""
    has_starts = gold_sentences and doc.has_annotation("SENT_START")
    return Doc(
        nlp.vocab,
        words=[token.text for token in doc],
        spaces=None if doc.has_unknown_spaces else [bool(token.whitespace_) for token in doc],
        sent_starts=[token.is_sent_start for token in doc] if has_starts else None,
    )


def iob2_labels(docs: Sequence[Doc]) -> list[list[str]]:
    """RETURNS (list[list[str]]): The IOB2 label of each word of each doc."""
    return [[f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc] for doc in docs]


def rename(labels: Sequence[Sequence[str]], names: Mapping[str, str]) -> list[list[str]]:
    """RETURNS (list[list[str]]): Labels in IOB2 with other names of their types."""
    return [[x if x == "O" else x[:2] + names[x[2:]] for x in row] for row in labels]


def score(gold: Sequence[Doc], predicted: Sequence[Doc]) -> dict[str, Any]:
    """Score predicted mentions, which must match gold in span and type, and labels of words.

    RETURNS (dict[str, Any]): `token_accuracy`, and for each of PROTOCOLS `overall` and `types`,
        with `precision`, `recall`, `f1` (0 if undefined) and `support`.
    RAISES (RuntimeError): If spaCy's scorer gives another F1.
    """
    gold_labels, predicted_labels = iob2_labels(gold), iob2_labels(predicted)
    # seqeval strips hyphens of types, and has rows that types can be named as: "micro avg". Its own
    # order is alphabetical.
    types = sorted({ent.label_ for doc in [*gold, *predicted] for ent in doc.ents})
    names = {type_: f"T{number:06}" for number, type_ in enumerate(types)}
    gold_labels, predicted_labels = rename(gold_labels, names), rename(predicted_labels, names)
    scores: dict[str, Any] = {"token_accuracy": accuracy_score(gold_labels, predicted_labels)}
    for protocol, arguments in PROTOCOLS.items():
        with warnings.catch_warnings():
            # seqeval's macro average, which is unused here, warns if there are no mentions.
            warnings.simplefilter("ignore", RuntimeWarning)
            report = classification_report(
                gold_labels, predicted_labels, output_dict=True, zero_division=0, **arguments
            )
        rows = {
            name: {
                "precision": float(row["precision"]),
                "recall": float(row["recall"]),
                "f1": float(row["f1-score"]),
                "support": int(row["support"]),
            }
            for name, row in report.items()
        }
        by_type = {type_: rows[name] for type_, name in names.items()}
        scores[protocol] = {"overall": rows[OVERALL], "types": by_type}
    check_against_spacy(gold, predicted, scores)
    return scores


def check_against_spacy(
    gold: Sequence[Doc], predicted: Sequence[Doc], scores: dict[str, Any]
) -> None:
    """Check F1 against spaCy's scorer. On gold tokens and legal labels, all three protocols count
    the same mentions.

    RAISES (RuntimeError): If they differ.
    """
    examples = [Example(*pair) for pair in zip(predicted, gold, strict=True)]
    spacy_f1 = get_ner_prf(examples)["ents_f"] or 0.0
    for protocol in PROTOCOLS:
        f1 = scores[protocol]["overall"]["f1"]
        if abs(f1 - spacy_f1) > 1e-9:
            raise RuntimeError(f"F1 is {f1} by seqeval ({protocol}) but {spacy_f1} by spaCy")
