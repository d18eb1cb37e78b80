"""Apply corrections to a gold file."""

from pathlib import Path

from common.console import InputError, msg
from common.files import sha256
from formats.converting import Conversion
from formats.sources import find_format, read_source
from formats.targets import find_target, write_target
from reviewing.corrections import apply_corrections, read_corrections


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
