"""Where scores are kept: what spaCy's operations leave of them, and `ent._.score` itself."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import spacy
from spacy.pipeline import EntityRuler, merge_entities
from spacy.tokens import Doc, DocBin, Span, SpanGroup
from spacy.util import filter_spans

from tests.conftest import ROOT
from tests.token_ner.component_helpers import annotate
from token_ner import ScoredMention, TokenNER
from token_ner.span_scores import KEY

WORDS = ["Ada", "Lindqvist", "left", "Varnholm", "and", "Bo", "fell", "."]
MENTIONS = [
    ScoredMention(0, 2, "PER", 0.9),
    ScoredMention(3, 4, "LOC", 0.8),
    ScoredMention(5, 6, "PER", 0.7),
]
FOUND: list[tuple[str, str, float | None]] = [
    ("Ada Lindqvist", "PER", 0.9),
    ("Varnholm", "LOC", 0.8),
    ("Bo", "PER", 0.7),
]


def make(head: TokenNER, spans_key: str | None = None) -> Doc:
    head.cfg["spans_key"] = spans_key
    doc = Doc(head.vocab, words=WORDS, spaces=[True] * 6 + [False] * 2)
    annotate(head, doc, MENTIONS)
    return doc


@pytest.fixture
def doc(head: TokenNER) -> Doc:
    return make(head)


@pytest.fixture
def extension() -> Iterator[None]:
    """`Doc.from_json` reads only what is registered."""
    Span.set_extension(KEY, default=None)
    yield
    Span.remove_extension(KEY)


def scored(doc: Doc) -> list[tuple[str, str, float | None]]:
    return [(ent.text, ent.label_, ent._.score) for ent in doc.ents]


# --- The table in docs/app.md: one test for each row ---


def rows_of_docs() -> dict[str, tuple[str, str, str]]:
    """RETURNS (dict[str, tuple[str, str, str]]): What the table says of `ent._.score`, without and
    with `spans_key`, and of the group, by operation."""
    page = (ROOT / "docs" / "app.md").read_text(encoding="utf-8")
    table = page.partition("| Operation |")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    return {operation: (alone, score, group) for operation, alone, score, group in cells}


def state(doc: Doc) -> str:
    """RETURNS (str): What is left of `doc.spans["sc"]`, in the table's words."""
    group = doc.spans.get("sc")
    if group is None:
        return "gone"
    try:
        texts = [span.text for span in group]
    except IndexError:
        return "wrong words"
    if texts != [ent.text for ent in doc.ents]:
        return "wrong words"
    if "scores" not in group.attrs:
        return "without scores"
    return "kept" if group.attrs["scores"] == [0.9, 0.8, 0.7] else "wrong scores"


def retokenize(doc: Doc) -> Doc:
    doc = merge_entities(doc)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[-2:])
        retokenizer.split(doc[2], ["Varn", "holm"], heads=[(doc[2], 0), (doc[2], 1)])
    return doc


def overwrite(doc: Doc) -> Doc:
    doc.set_ents([], blocked=[doc[4:5]], default="unmodified")
    doc.ents = [*doc.ents, Span(doc, 6, 7, "PER")]
    ruler = EntityRuler(spacy.blank("en", vocab=doc.vocab), overwrite_ents=True)
    ruler.add_patterns([{"label": "LOC", "pattern": "fell"}])
    doc = ruler(doc)
    assert scored(doc)[-1] == ("fell", "LOC", None)
    doc.ents = doc.ents[:-1]
    return doc


def through_docbin(doc: Doc, user_data: bool) -> Doc:
    saved = DocBin(store_user_data=user_data, docs=[doc]).to_bytes()
    (loaded,) = DocBin().from_bytes(saved).get_docs(doc.vocab)
    return loaded


def through_bytes(doc: Doc, exclude: list[str]) -> Doc:
    return Doc(doc.vocab).from_bytes(doc.to_bytes(exclude=exclude))


def through_pickle(doc: Doc) -> Doc:
    again: Doc = pickle.loads(pickle.dumps(doc))
    return again


def through_processes(doc: Doc) -> Doc:
    (again, _) = spacy.blank("en", vocab=doc.vocab).pipe([doc, doc], n_process=2)
    return again


def through_json(doc: Doc, underscore: list[str] | None = None) -> Doc:
    return Doc(doc.vocab).from_json(doc.to_json(underscore=underscore))


def clear_user_data(doc: Doc) -> Doc:
    doc.user_data.clear()
    return doc


def clear_groups(doc: Doc) -> Doc:
    doc.spans.clear()
    return doc


def filter_group(doc: Doc) -> Doc:
    doc.spans["sc"] = filter_spans(doc.ents)
    return doc


def join(doc: Doc, exclude: list[str]) -> Doc:
    """RETURNS (Doc): The document behind another one, without mentions."""
    other = Doc(doc.vocab, words=["Ada", "Lindqvist"])
    from_docs: Any = Doc.from_docs  # spaCy's stub lacks `exclude`
    joined: Doc = from_docs([other, doc], exclude=exclude)
    return joined


# Each operation of the table, and functions that do it, each alone.
OPERATIONS: dict[str, list[Callable[[Doc], Doc]]] = {
    "`merge_entities`, `doc.retokenize()`": [retokenize],
    "`doc.ents = …`, `doc.set_ents(…)`, `entity_ruler`": [overwrite],
    "`doc.copy()`, pickle, `nlp.pipe(…, n_process=2)`": [
        Doc.copy,
        through_pickle,
        through_processes,
    ],
    "`doc.to_bytes()`, `DocBin(store_user_data=True)`": [
        lambda doc: through_bytes(doc, []),
        lambda doc: through_docbin(doc, True),
    ],
    '`doc.to_bytes(exclude=["user_data"])`, `DocBin()`': [
        lambda doc: through_bytes(doc, ["user_data"]),
        lambda doc: through_docbin(doc, False),
    ],
    "`doc.user_data.clear()`": [clear_user_data],
    "`doc.spans.clear()`": [clear_groups],
    '`doc.spans["sc"] = filter_spans(…)`': [filter_group],
    "`Doc.from_docs(docs)`": [lambda doc: join(doc, [])],
    '`Doc.from_docs(docs, exclude=["user_data"])`': [lambda doc: join(doc, ["user_data"])],
    "`span.as_doc(copy_user_data=True)`": [lambda doc: doc[:7].as_doc(copy_user_data=True)],
    "`span.as_doc()`": [lambda doc: doc[:7].as_doc()],
    "`doc.to_json()`": [through_json],
    '`doc.to_json(underscore=["token_ner_scores"])`': [lambda doc: through_json(doc, [KEY])],
}


@pytest.mark.usefixtures("extension")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_scores_in_the_table_of_the_docs(head: TokenNER, operation: str) -> None:
    alone, score, group = rows_of_docs()[operation]
    lost = [(text, label, None) for text, label, _ in FOUND]
    expected = {"kept": FOUND, "lost": lost}
    for function in OPERATIONS[operation]:
        assert scored(function(make(head))) == expected[alone]
        changed = function(make(head, "sc"))
        assert scored(changed) == expected[score]
        assert state(changed) == group


def test_scores_table_of_the_docs_is_tested() -> None:
    assert rows_of_docs().keys() == OPERATIONS.keys()


@pytest.mark.parametrize(
    "operation",
    [
        Doc.copy,
        through_pickle,
        through_processes,
        lambda doc: through_bytes(doc, []),
        lambda doc: through_docbin(doc, True),
        lambda doc: join(doc, []),
    ],
    ids=["copy", "pickle", "processes", "bytes", "docbin", "join"],
)
def test_scores_of_retokenized_documents_are_kept(
    doc: Doc, operation: Callable[[Doc], Doc]
) -> None:
    """spaCy fails where a group has tokens that are gone (E035); by default there is none."""
    assert not doc.spans
    assert scored(operation(retokenize(doc))) == FOUND
    assert [len(ent) for ent in operation(doc).ents] == [1, 2, 1]


def test_scores_add_few_bytes(head: TokenNER) -> None:
    """At most 15 %, with 60 mentions in 320 words: CoNLL-2003 has 37 on average."""
    doc = Doc(head.vocab, words=WORDS * 40)
    mentions = [
        m._replace(start=m.start + i, end=m.end + i, score=m.score + i / 10_000)
        for i in range(0, len(doc), 2 * len(WORDS))
        for m in MENTIONS
    ]
    annotate(head, doc, mentions)
    assert len(doc.ents) == 60
    assert len(doc.to_bytes()) <= 1.15 * len(doc.to_bytes(exclude=["user_data"]))


# --- Never another mention's ---


def test_scores_cannot_be_set(doc: Doc) -> None:
    ent = doc.ents[0]
    with pytest.raises(AttributeError, match='"Ada Lindqvist" is what token_ner predicted'):
        ent._.score = 0.5
    assert scored(doc) == FOUND


def test_scores_are_none_where_words_were_merged_over_the_boundary(doc: Doc) -> None:
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[1:3])
    assert scored(doc) == [("Ada Lindqvist left", "PER", None), *FOUND[1:]]


def test_scores_of_spans_from_before_retokenizing_are_none(doc: Doc) -> None:
    """Their words are others now, or not there."""
    before = doc.ents
    merge_entities(doc)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[3:])
    assert [span._.score for span in before] == [None, None, None]
    assert scored(doc)[:2] == FOUND[:2]


def test_scores_do_not_depend_on_the_spans_of_the_group(head: TokenNER) -> None:
    doc = make(head, "sc")
    doc.user_data.clear()
    group = doc.spans["sc"]
    group[0] = doc[6:7]
    group.append(doc[7:8])
    assert scored(doc) == FOUND
    attrs = group.attrs | {"scores": [0.7, 0.8, 0.9]}
    doc.spans["sc"] = SpanGroup(doc, spans=doc.ents[::-1], attrs=attrs)
    assert scored(doc) == FOUND


def test_scores_of_one_document_do_not_reach_its_neighbours(head: TokenNER) -> None:
    """`as_doc` keeps the scores of the whole document, and `from_docs` moves them over others."""
    whole = Doc(head.vocab, words=["Oslo", "rose", ".", "Ada", "left", "."])
    annotate(head, whole, [ScoredMention(0, 1, "LOC", 0.9), ScoredMention(3, 4, "PER", 0.8)])
    piece = whole[3:].as_doc(copy_user_data=True)
    for word, label in (("Bonn", "LOC"), ("Oslo", "PER")):
        other = Doc(head.vocab, words=[word, "fell", "."], ents=[f"B-{label}", "O", "O"])
        assert scored(Doc.from_docs([other, piece])) == [(word, label, None), ("Ada", "PER", 0.8)]
    same = whole[:3].as_doc()
    assert scored(Doc.from_docs([same, piece])) == [("Oslo", "LOC", 0.9), ("Ada", "PER", 0.8)]


def test_scores_are_none_if_the_text_changed(head: TokenNER) -> None:
    """Where spaces are unknown, a DocBin adds one between the parts of a split word."""
    head.cfg["spans_key"] = "sc"
    doc = Doc(head.vocab, words=["ab", "cd", "P", "Q"])
    annotate(head, doc, [ScoredMention(2, 3, "PER", 0.9), ScoredMention(3, 4, "PER", 0.8)])
    with doc.retokenize() as retokenizer:
        for token in doc[:2]:
            retokenizer.split(token, list(token.text), heads=[(token, 0), (token, 1)])
    loaded = through_docbin(doc, user_data=False)
    assert loaded.text == "a b c d P Q "
    assert scored(loaded) == [("P", "PER", None), ("Q", "PER", None)]


def test_scores_beside_user_data_of_others(head: TokenNER, doc: Doc) -> None:
    keys: list[Any] = ["key", 1, (1,), ("._.", "a", None, None), ("._.", "a", 0, 13)]
    doc.user_data.update({key: {"by": "token_ner"} for key in keys})
    assert scored(doc) == FOUND
    annotate(head, doc, [])
    assert list(doc.user_data) == keys


# --- Again, and twice ---


@pytest.mark.parametrize("spans_key", [None, "sc"])
def test_scores_of_an_earlier_prediction_are_gone(head: TokenNER, spans_key: str | None) -> None:
    doc = make(head, spans_key)
    annotate(head, doc, [ScoredMention(3, 4, "LOC", 0.6)])
    doc.ents = [Span(doc, 0, 2, "PER"), Span(doc, 3, 4, "LOC")]
    assert scored(doc) == [("Ada Lindqvist", "PER", None), ("Varnholm", "LOC", 0.6)]
    head.cfg["spans_key"] = None  # a group of an earlier pipeline
    annotate(head, doc, [])
    assert scored(doc) == [("Ada Lindqvist", "PER", None)]
    doc.ents = [*doc.ents, Span(doc, 3, 4, "LOC")]
    assert scored(doc) == [("Ada Lindqvist", "PER", None), ("Varnholm", "LOC", None)]


def test_scores_of_joined_documents_are_replaced(head: TokenNER, doc: Doc) -> None:
    joined = join(doc, [])
    annotate(head, joined, [ScoredMention(4, 5, "ORG", 0.6)])
    assert scored(joined) == [("left", "ORG", 0.6)]
    joined.ents = [Span(joined, 2, 4, "PER"), Span(joined, 4, 5, "ORG")]
    assert scored(joined) == [("Ada Lindqvist", "PER", None), ("left", "ORG", 0.6)]


def test_scores_of_a_retokenized_document_are_replaced(head: TokenNER, doc: Doc) -> None:
    annotate(head, merge_entities(doc), [ScoredMention(2, 3, "ORG", 0.6)])
    assert scored(doc) == [("Varnholm", "ORG", 0.6)]


def test_scores_of_two_components(head: TokenNER, doc: Doc) -> None:
    head.name = "second"
    annotate(head, doc, [ScoredMention(0, 1, "PER", 0.2), ScoredMention(6, 7, "ORG", 0.3)])
    expected = [*FOUND, ("fell", "ORG", 0.3)]
    assert scored(doc) == expected
    assert scored(join(doc, [])) == expected
    annotate(head, doc, [])
    assert scored(doc) == FOUND
