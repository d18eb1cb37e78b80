"""The reader of training documents. Needs spaCy only."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from spacy.errors import Errors
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus
from spacy.vocab import Vocab

from .augmentation import Augmenter


class ShuffledCorpus(Corpus):
    """spaCy's corpus with documents of several files, in another order each time it is read."""

    def __init__(self, paths: Sequence[Path], augmenter: Augmenter | None, limit: int) -> None:
        super().__init__(paths[0], augmenter=augmenter, limit=limit, shuffle=True)
        self.paths = paths
        self.vocab: Vocab | None = None
        self.docs: list[Doc] = []

    def read_docbin(self, vocab: Vocab, _: Iterable[str | Path]) -> Iterator[Doc]:
        """YIELDS (Doc): The documents of all files; of the first, at most `limit`. They are kept
        for the next epoch: shuffling has all of them in memory anyway."""
        if self.vocab is not vocab:
            self.docs = list(super().read_docbin(vocab, self.paths[:1]))
            for path in self.paths[1:]:
                self.docs += DocBin().from_disk(path).get_docs(vocab)
            self.vocab = vocab
        yield from self.docs


def create_shuffled_corpus(
    path: Path | None,
    taught: Path | None = None,
    augmenter: Augmenter | None = None,
    limit: int = 0,
) -> Corpus:
    """A reader of `.spacy` files that gives documents in another order each time it is read.

    spacy ner train reads such a corpus again in every epoch, with new draws of the augmenter.
    Plain `spacy train` reads it once, unless max_epochs is -1.

    path (Path | None): The gold documents.
    taught (Path | None): Further documents, which a teacher annotated (spacy ner teach).
    augmenter (Callable | None): Changes examples, for instance `create_text_augmenter`.
    limit (int): Maximum number of gold documents; 0 for all.
    RAISES (ValueError): If the path is None.
    """
    if path is None:
        raise ValueError(Errors.E913)
    paths = [path] if taught is None else [path, taught]
    return ShuffledCorpus(paths, augmenter, limit)
