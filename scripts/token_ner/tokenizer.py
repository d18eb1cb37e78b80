"""spaCy's tokenizer of the language, in linear time for any text. Needs spaCy only."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import cast

from spacy.language import Language
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc
from spacy.util import (
    compile_infix_regex,
    compile_prefix_regex,
    compile_suffix_regex,
    registry,
)

MAX_SYMBOLS = 50
# Of a chunk of text without whitespace, spaCy strips such characters one by one, or what is near
# them, and each time searches the rest: its time is quadratic in their number.
LONG_CHUNK = re.compile(rf"\S{{{MAX_SYMBOLS + 1},}}")
SYMBOL = re.compile(r"[\W_]")


class LinearTokenizer(Tokenizer):  # type: ignore[misc]
    """Cuts a chunk of text without whitespace after every MAX_SYMBOLS characters that aren't
    letters or digits, and tokenizes the parts one by one. Text without such chunks, as nearly all
    text is, has spaCy's own tokens. The offsets of tokens are those of the text in any case."""

    def __call__(self, string: str) -> Doc:
        cuts = find_cuts(string)
        if not cuts:
            return cast(Doc, super().__call__(string))
        parts = [super(LinearTokenizer, self).__call__(string[a:b]) for a, b in pairwise(cuts)]
        doc = Doc.from_docs(parts, ensure_whitespace=False)
        assert doc is not None
        return doc


def find_cuts(text: str) -> list[int]:
    """RETURNS (list[int]): Where to cut, with 0 and the text's length; empty if nowhere."""
    cuts = [0]
    for chunk in LONG_CHUNK.finditer(text):
        symbols = [match.end() for match in SYMBOL.finditer(text, chunk.start(), chunk.end())]
        cuts += [end for end in symbols[MAX_SYMBOLS - 1 :: MAX_SYMBOLS] if end < chunk.end()]
    return [*cuts, len(text)] if len(cuts) > 1 else []


def create_linear_tokenizer() -> Callable[[Language], Callable[[str], Doc]]:
    """The tokenizer of the language, in linear time: for languages with spaces between words as
    `spacy.Tokenizer.v1`, for Chinese, Japanese, Korean, Thai and others their own one in spaCy,
    with its default settings.

    RAISES (ImportError): From the function that is returned, if the language's own one needs a
        package that isn't installed.
    """

    def make(nlp: Language) -> Callable[[str], Doc]:
        own = nlp.Defaults.config.get("nlp", {}).get("tokenizer")
        if own is not None:
            resolved = registry.resolve({"tokenizer": own})
            return cast(Callable[[str], Doc], resolved["tokenizer"](nlp))
        # As `spacy.Tokenizer.v1`: https://spacy.io/usage/linguistic-features#native-tokenizers
        use = nlp.Defaults
        return LinearTokenizer(
            nlp.vocab,
            rules=use.tokenizer_exceptions,
            prefix_search=compile_prefix_regex(use.prefixes).search if use.prefixes else None,
            suffix_search=compile_suffix_regex(use.suffixes).search if use.suffixes else None,
            infix_finditer=compile_infix_regex(use.infixes).finditer if use.infixes else None,
            token_match=use.token_match,
            url_match=use.url_match,
        )

    return make
