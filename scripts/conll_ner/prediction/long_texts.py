"""Texts of any length: longer ones than a pipeline reads at once are annotated in pieces."""

from collections.abc import Iterator, Sequence

from spacy.tokens import Doc

ENDS = ("\n\n", "\n", " ")  # of paragraphs, lines and words: the first that a piece has


def split_text(text: str, limit: int) -> Iterator[str]:
    """YIELDS (str): Pieces of at most `limit` characters, which together are the text. They end
    with a paragraph; where one is longer, with a line, a word, or anywhere."""
    start = 0
    while len(text) - start > limit:
        ends = (text.rfind(mark, start, start + limit) + len(mark) for mark in ENDS)
        end = next((end for end in ends if end > start + len(ENDS[0])), start + limit)
        yield text[start:end]
        start = end
    yield text[start:]


def join_pieces(pieces: Sequence[Doc]) -> Doc:
    """RETURNS (Doc): The annotated pieces of a text as one document, with its mentions, candidates
    and scores."""
    if len(pieces) == 1:
        return pieces[0]
    doc = Doc.from_docs(list(pieces), ensure_whitespace=False)
    for key, group in doc.spans.items():  # spaCy keeps the attributes of the first piece only
        scores = [
            piece.spans[key].attrs.get("scores", ()) for piece in pieces if key in piece.spans
        ]
        group.attrs["scores"] = [score for part in scores for score in part]
    return doc
