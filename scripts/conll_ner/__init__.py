"""The toolkit around `token_ner`: `python -m spacy ner NAME`, with a folder for each stage."""
