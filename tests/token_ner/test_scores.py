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

KEY = "token_ner_scores"
WORDS = ["Ada", "Lindqvist", "left", "Varnholm", "and", "Bo", "fell", "."]
TWO_SENTENCES = ["Oslo", "rose", ".", "Ada", "left", "."]
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


@pytest.fixture
def doc(head: TokenNER) -> Doc:
    doc = Doc(head.vocab, words=WORDS, spaces=[True] * 6 + [False] * 2)
    annotate(head, doc, MENTIONS)
    return doc


@pytest.fixture
def extension() -> Iterator[None]:
    """`Doc.from_json` reads only what is registered."""
    Span.set_extension(KEY, default=None)
    yield
    Span.remove_extension(KEY)


def scored(doc: Doc) -> list[tuple[str, str, float | None]]:
    return [(ent.text, ent.label_, ent._.score) for ent in doc.ents]


# --- The table in docs/use.md: one test for each row ---


def rows_of_docs() -> dict[str, tuple[str, str]]:
    """RETURNS (dict[str, tuple[str, str]]): What the table says of `ent._.score` and of the group,
    by operation."""
    page = (ROOT / "docs" / "use.md").read_text(encoding="utf-8")
    table = page.partition("| Operation |")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    return {operation: (score, group) for operation, score, group in cells}


def state(doc: Doc) -> str:
    """RETURNS (str): What is left of `doc.spans["token_ner"]`, in the table's words."""
    group = doc.spans.get("token_ner")
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
    doc.spans["token_ner"] = filter_spans(doc.spans["token_ner"])
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
        lambda doc: pickle.loads(pickle.dumps(doc)),
        through_processes,
    ],
    '`doc.to_bytes()`, also with `exclude=["user_data"]`': [
        lambda doc: through_bytes(doc, []),
        lambda doc: through_bytes(doc, ["user_data"]),
    ],
    "`DocBin`, with and without user data": [
        lambda doc: through_docbin(doc, True),
        lambda doc: through_docbin(doc, False),
    ],
    "`doc.user_data.clear()`": [clear_user_data],
    "`doc.spans.clear()`": [clear_groups],
    '`doc.spans["token_ner"] = filter_spans(…)`': [filter_group],
    "`Doc.from_docs(docs)`": [lambda doc: join(doc, [])],
    '`Doc.from_docs(docs, exclude=["user_data"])`': [lambda doc: join(doc, ["user_data"])],
    "`span.as_doc(copy_user_data=True)`": [lambda doc: doc[:7].as_doc(copy_user_data=True)],
    "`span.as_doc()`": [lambda doc: doc[:7].as_doc()],
    "`doc.to_json()`": [through_json],
    '`doc.to_json(underscore=["token_ner_scores"])`': [lambda doc: through_json(doc, [KEY])],
}


@pytest.mark.usefixtures("extension")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_scores_in_the_table_of_the_docs(doc: Doc, operation: str) -> None:
    expected = FOUND
    score, group = rows_of_docs()[operation]
    if score == "lost":
        expected = [(text, label, None) for text, label, _ in FOUND]
    else:
        assert score == "kept"
    for function in OPERATIONS[operation]:
        changed = function(doc.copy())
        assert scored(changed) == expected
        assert state(changed) == group


def test_scores_table_of_the_docs_is_tested() -> None:
    assert rows_of_docs().keys() == OPERATIONS.keys()


# --- Never another mention's ---


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


def test_scores_do_not_depend_on_the_spans_of_the_group(doc: Doc) -> None:
    group = doc.spans["token_ner"]
    group[0] = doc[6:7]
    group.append(doc[7:8])
    assert scored(doc) == FOUND
    attrs = group.attrs | {"scores": [0.7, 0.8, 0.9]}
    doc.spans["token_ner"] = SpanGroup(doc, spans=doc.ents[::-1], attrs=attrs)
    assert scored(doc) == FOUND


def test_scores_of_one_document_do_not_reach_its_neighbours(head: TokenNER) -> None:
    """`as_doc` keeps the scores of the whole document, and `from_docs` moves them over others."""
    whole = Doc(head.vocab, words=TWO_SENTENCES)
    annotate(head, whole, [ScoredMention(0, 1, "LOC", 0.9), ScoredMention(3, 4, "PER", 0.8)])
    piece = whole[3:].as_doc(copy_user_data=True)
    other = Doc(head.vocab, words=["Oslo", "fell", "."], ents=["B-LOC", "O", "O"])
    assert scored(Doc.from_docs([other, piece]))[0] == ("Oslo", "LOC", None)
    same = whole[:3].as_doc()
    assert scored(Doc.from_docs([same, piece])) == [("Oslo", "LOC", 0.9), ("Ada", "PER", 0.8)]


def test_scores_are_none_where_two_predictions_differ(head: TokenNER) -> None:
    """The words are those of both documents, with another score in each, or not a mention."""
    whole = Doc(head.vocab, words=TWO_SENTENCES)
    annotate(head, whole, [ScoredMention(0, 1, "LOC", 0.9), ScoredMention(3, 4, "PER", 0.8)])
    piece = whole[3:].as_doc(copy_user_data=True)
    for mentions in ([ScoredMention(1, 2, "LOC", 0.7)], [ScoredMention(0, 1, "PER", 0.7)]):
        other = Doc(head.vocab, words=["Surely", "Oslo", "rose", "."])
        annotate(head, other, mentions)
        other.ents = [Span(other, 1, 2, "LOC")]
        assert scored(Doc.from_docs([other, piece]))[0] == ("Oslo", "LOC", None)


def test_scores_are_none_if_the_text_changed(head: TokenNER) -> None:
    """Where spaces are unknown, a DocBin adds one between the parts of a split word."""
    doc = Doc(head.vocab, words=["ab", "cd", "P", "Q"])
    annotate(head, doc, [ScoredMention(2, 3, "PER", 0.9), ScoredMention(3, 4, "PER", 0.8)])
    with doc.retokenize() as retokenizer:
        for token in doc[:2]:
            retokenizer.split(token, list(token.text), heads=[(token, 0), (token, 1)])
    loaded = through_docbin(doc, user_data=False)
    assert loaded.text == "a b c d P Q "
    assert scored(loaded) == [("P", "PER", None), ("Q", "PER", None)]


def test_scores_are_none_if_the_old_words_are_unknown(doc: Doc) -> None:
    merge_entities(doc).spans.clear()
    assert scored(Doc(spacy.blank("en").vocab).from_bytes(doc.to_bytes()))[0][2] is None


def test_scores_beside_user_data_of_others(doc: Doc) -> None:
    keys: list[Any] = ["key", 1, (1,), ("._.", "a", None, None), ("._.", "a", 0, None)]
    doc.user_data.update({key: {"by": "token_ner"} for key in keys})
    doc.user_data.update({("._.", "a", 0, 13): 0.5, ("._.", "a", 0, 20): {"by": "app"}})  # type: ignore[dict-item]
    doc.spans.clear()
    assert scored(doc) == FOUND


# --- Again, and twice ---


def test_scores_of_an_earlier_prediction_are_gone(head: TokenNER, doc: Doc) -> None:
    annotate(head, doc, [ScoredMention(3, 4, "LOC", 0.6)])
    doc.ents = [Span(doc, 0, 2, "PER"), Span(doc, 3, 4, "LOC")]
    expected = [("Ada Lindqvist", "PER", None), ("Varnholm", "LOC", 0.6)]
    assert scored(doc) == expected
    doc.spans.clear()
    assert scored(doc) == expected
    annotate(head, doc, [])
    doc.spans.clear()
    assert scored(doc) == [("Ada Lindqvist", "PER", None), ("Varnholm", "LOC", None)]


def test_scores_of_joined_documents_are_replaced(head: TokenNER, doc: Doc) -> None:
    joined = join(doc, [])
    annotate(head, joined, [ScoredMention(4, 5, "ORG", 0.6)])
    assert scored(joined) == [("left", "ORG", 0.6)]
    joined.ents = [Span(joined, 2, 4, "PER"), Span(joined, 4, 5, "ORG")]
    joined.spans.clear()
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


# --- Documents of versions before 0.6.0 ---


@pytest.fixture
def old(doc: Doc) -> Doc:
    doc.user_data.clear()
    del doc.spans["token_ner"].attrs["mentions"]
    return doc


def test_scores_of_old_documents(old: Doc) -> None:
    assert scored(through_docbin(old, user_data=False)) == FOUND
    assert old[2:3]._.score is old[6:7]._.score is old[7:8]._.score is None
    with old.retokenize() as retokenizer:
        retokenizer.split(old[0], ["A", "da"], heads=[(old[0], 0), (old[0], 1)])
    assert [score for _, _, score in scored(old)] == [0.9, 0.8, 0.7]


def test_scores_of_old_documents_are_none_after_merging(head: TokenNER, old: Doc) -> None:
    """The last mentions of the group can't be read, and then none is the component's own."""
    with old.retokenize() as retokenizer:
        retokenizer.merge(old[:5])
    assert scored(old) == [("Ada Lindqvist left Varnholm and", "PER", None), ("Bo", "PER", None)]
    annotate(head, old, [ScoredMention(2, 3, "ORG", 0.6)])
    assert scored(old)[1:] == [("Bo", "PER", None), ("fell", "ORG", 0.6)]


def test_scores_of_old_documents_are_none_if_the_group_changed(old: Doc) -> None:
    old.spans["token_ner"].append(old[7:8])
    assert [score for _, _, score in scored(old)] == [None, None, None]
