"""Open text files of any encoding. Offsets count what the file holds, so line ends are kept."""

import codecs
import gzip
import math
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import TextIO

from conll_ner.common.console import InputError

# Tried in this order for the hint: the first two fail on most files that aren't theirs.
CANDIDATES = ("utf-16", "cp1252", "latin-1")
GZIP, ZIP = ".gz", ".zip"
MAX_UNPACKED, MAX_RATIO = 100_000_000, 100  # bytes of a .gz, or as a multiple of its size
ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b")
KIND = {".xlsx": "a workbook: save it as CSV", ".docx": "a Word document: save it as text"}
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextmanager
def open_text(path: Path, encoding: str | None) -> Iterator[TextIO]:
    """Open a file without translating its line ends.

    encoding (str | None): A name of Python's. None: UTF-8, with or without byte order mark.
    RAISES (InputError): If there is no such encoding, or, while the file is read, if its bytes
        aren't of it. The message names an encoding that fits.
    """
    check_encoding(encoding)
    try:
        with open_bytes(path) as binary:
            file = TextIOWrapper(binary, encoding or "utf-8-sig", newline="")
            if encoding is None and any(binary.peek(4).startswith(mark) for mark in ARCHIVES):
                raise InputError(f"{path} is {KIND.get(path.suffix, 'an archive, not text')}")
            yield file
    except UnicodeError as error:
        raise InputError(describe(path, encoding or "UTF-8", error)) from None


@contextmanager
def open_bytes(path: Path) -> Iterator[BufferedReader]:
    """Open a file, decompressed if its name ends in .gz.
    RAISES (InputError): While the file is read, if it isn't complete; after that, if it changed
        meanwhile: what was read may be neither the old file nor the new one."""
    # `same`: whoever decodes `file` closes it too.
    with path.open("rb") as file, os.fdopen(os.dup(file.fileno()), "rb") as same:
        before = state_of(same)
        try:
            if path.suffix.lower() == GZIP:
                with LimitedGzip(path, file, before[0]) as decompressed:
                    yield BufferedReader(decompressed)
            else:
                yield file
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise InputError(f"{path} is not a complete gzip file") from None
        if state_of(same) != before:
            raise InputError(f"{path} changed while it was read; start again when it is complete")


class LimitedGzip(gzip.GzipFile):
    """A compressed file whose reading stops where it would fill the memory: gzip shrinks texts to
    about a tenth, but zeros to a thousandth. `read` raises an InputError then."""

    def __init__(self, path: Path, file: BufferedReader, size: int) -> None:
        super().__init__(fileobj=file)
        self.path = path
        self.limit = max(MAX_UNPACKED, MAX_RATIO * size) if size else math.inf  # of a pipe

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > self.limit:
            raise InputError(
                f"{self.path} unpacks to more than {self.limit:,} bytes; if that is meant, unpack "
                "it first"
            )
        return data


def state_of(file: BufferedReader) -> tuple[int, int]:
    """RETURNS (tuple[int, int]): Size and time of the last change; zeros for a pipe."""
    found = os.fstat(file.fileno())
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else (0, 0)


def text_suffix(path: Path) -> str:
    """RETURNS (str): What shows the format in a file's name, without .gz, in lower case."""
    return (path.with_suffix("") if path.suffix.lower() == GZIP else path).suffix.lower()


def read_text(path: Path, encoding: str | None) -> str:
    """RETURNS (str): The content of a file, with its line ends. Raises as `open_text`."""
    with open_text(path, encoding) as file:
        return file.read()


def check_encoding(encoding: str | None) -> None:
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError:
        raise InputError(f"--encoding {encoding}: no such encoding, try cp1252") from None


def describe(path: Path, encoding: str, error: UnicodeError) -> str:
    """RETURNS (str): What is wrong with the file's bytes, and which encoding fits."""
    with open_bytes(path) as file:
        data = file.read()
    where, what = str(path), str(error)
    if isinstance(error, UnicodeDecodeError):
        # A file is decoded in chunks, so that the error's own position isn't that in the file.
        line, byte = find_error(data, encoding)
        where, what = f"{path}:{line}", f"byte 0x{byte:02x} is not {encoding}"
    return f"{where}: {what}; {hint(data)}"


def find_error(data: bytes, encoding: str) -> tuple[int, int]:
    """RETURNS (tuple[int, int]): The line of the first byte that can't be decoded, and the byte."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1, data[error.start]
    return 1, 0


def hint(data: bytes) -> str:
    """RETURNS (str): The option that reads the bytes."""
    if not data.startswith(UTF16_MARKS) and b"\0" in data[:1000]:
        return "it is no text file"
    candidates = CANDIDATES if data.startswith(UTF16_MARKS) else CANDIDATES[1:]
    for name in candidates:
        try:
            data.decode(name)
        except UnicodeError:
            continue
        return f"--encoding {name} reads it; check the letters that aren't ASCII"
    return "set --encoding"
