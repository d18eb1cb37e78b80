"""spaCy's languages, and what they need."""

import spacy
from spacy.language import Language

from conll_ner.common.console import InputError, first_line
from token_ner import create_linear_tokenizer


def blank_pipeline(lang: str) -> Language:
    """RETURNS (Language): An empty pipeline with the language's tokenizer, in linear time.
    RAISES (InputError): If there is no such language, or its tokenizer needs a package that isn't
        installed."""
    try:
        nlp = spacy.blank(lang)
        nlp("a")  # Korean's tokenizer loads its library at the first text
        nlp.tokenizer = create_linear_tokenizer()(nlp)
    except Exception as error:  # of the tokenizer's package, such as natto's MeCabError
        raise InputError(f"language {lang}: {first_line(error)}") from None
    return nlp
