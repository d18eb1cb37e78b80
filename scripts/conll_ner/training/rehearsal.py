"""Training documents that teach a trained pipeline more without making it forget."""

import random
from collections.abc import Iterable, Sequence

from spacy.language import Language
from spacy.tokens import Doc, Span

from conll_ner.evaluation.seqeval_scores import annotate_gold
from token_ner import copy_gold

SURE = 0.9  # score from which a prediction counts as gold; below it, its words have no label


def types_of(docs: Iterable[Doc]) -> set[str]:
    return {ent.label_ for doc in docs for ent in doc.ents}


def complete(nlp: Language, docs: Sequence[Doc]) -> list[Doc]:
    """Add the mentions of types that the documents don't have, as a pipeline finds them.

    RETURNS (list[Doc]): Copies. Words of mentions that the pipeline isn't sure of have no label.
    """
    known = types_of(docs)
    copies = []
    for doc, predicted in zip(docs, annotate_gold(nlp, docs), strict=True):
        copy = copy_gold(doc, [token.text for token in doc])
        taken = {token.i for ent in copy.ents for token in ent}
        added: list[Span] = []
        unsure = [copy[t.i : t.i + 1] for t in doc if t.ent_iob == 0]
        for ent in predicted.ents:
            if ent.label_ in known or taken & set(range(ent.start, ent.end)):
                continue
            span = Span(copy, ent.start, ent.end, ent.label_)
            is_sure = ent._.score is not None and ent._.score >= SURE
            (added if is_sure else unsure).append(span)
        covered = {token.i for span in added for token in span}
        missing = [s for s in unsure if not covered & set(range(s.start, s.end))]
        copy.set_ents([*copy.ents, *added], missing=missing, default="unmodified")
        copies.append(copy)
    return copies


def leave_open(docs: Sequence[Doc]) -> list[Doc]:
    """RETURNS (list[Doc]): Copies with the mentions, in which all other words have no label: that
    they are no mention of an old type doesn't say that they are none of a new one."""
    copies = []
    for doc in docs:
        copy = copy_gold(doc, [token.text for token in doc])
        copy.set_ents(list(copy.ents), default="missing")
        copies.append(copy)
    return copies


def sample_words(docs: Sequence[Doc], words: int, seed: int) -> list[Doc]:
    """RETURNS (list[Doc]): Random documents that together have at least so many words, or all."""
    order = list(docs)
    random.Random(seed).shuffle(order)
    chosen, so_far = [], 0
    for doc in order:
        if so_far >= words:
            break
        chosen.append(doc)
        so_far += len(doc)
    return chosen
