"""spaCy's languages, and what they need."""

import spacy
from spacy.language import Language

from conll_ner.common.console import InputError, first_line

LINEAR = {"@tokenizers": "conll_ner.Tokenizer.v1"}


def blank_pipeline(lang: str) -> Language:
    """RETURNS (Language): An empty pipeline with the language's tokenizer, in linear time.
    RAISES (InputError): If there is no such language, or its tokenizer needs a package that isn't
        installed."""
    try:
        nlp = spacy.blank(lang, config={"nlp": {"tokenizer": LINEAR}})
        nlp("a")  # Korean's tokenizer loads its library at the first text
    except Exception as error:  # of the tokenizer's package, such as natto's MeCabError
        raise InputError(f"language {lang}: {first_line(error)}") from None
    return nlp
