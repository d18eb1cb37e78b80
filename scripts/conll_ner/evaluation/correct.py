"""Apply corrections to a gold file."""

from pathlib import Path

from conll_ner.common.console import InputError, msg
from conll_ner.common.files import sha256
from conll_ner.data.converting import Conversion
from conll_ner.data.formats.reading import find_format, read_source
from conll_ner.data.formats.target_files import find_target, write_target
from conll_ner.evaluation.corrections import apply_corrections, read_corrections


def correct_file(source: Path, target: Path, how: Conversion, corrections: Path) -> None:
    """Write a corrected copy of a gold file, in any format.

    RAISES (InputError): If the corrections aren't of this file as it is, or don't fit it.
    """
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    format_, to = find_format(source, how.reading), find_target(target, how.to)
    found = read_corrections(corrections, sha256(source))
    aligned = read_source(source, format_, how.reading, how.nlp)
    docs = (doc for doc, _ in aligned if doc is not None)
    write_target(apply_corrections(docs, found, source), target, to, how.to_scheme)
    msg.good(f"{target}: {len(found):,} corrections applied")
