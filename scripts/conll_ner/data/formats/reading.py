"""Read gold documents from files or folders of any format, which their content shows."""

import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from spacy import blank

from conll_ner.common.console import InputError, first_line
from conll_ner.common.links import check_inside
from conll_ner.data.encodings import ZIP
from conll_ner.data.formats import readers
from conll_ner.data.formats.annotated import Annotated, Format, Issue, Reading, Source
from conll_ner.data.formats.joining import Records, join_copies
from conll_ner.data.formats.json_records import FIRST, PARQUET, iterate_records, look

COLUMNS = "columns"
SPACY = "spacy"
FOUND: list[Format] = [
    import_module(module.name).FORMAT
    for module in iter_modules(readers.__path__, f"{readers.__name__}.")
]
FORMATS = {format_.name: format_ for format_ in sorted(FOUND)}
TEXT = ".txt"  # of the texts of brat
BINARY = (".spacy",)
SUFFIXES = (  # of files that are read in folders
    *(".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".conll", ".conllu", ".iob", ".bio", ".txt"),
    *(".spacy", PARQUET, ".gz", ".yml", ".yaml"),
)
OWN_FILES = {"*.ann": "brat", "*.tsv": "webanno"}  # in folders with other files, such as texts
EXAMPLE = """\
{"text": "Ada Lin left.", "mentions": [{"start": 0, "end": 7, "label": "PER"}]}
{"text": "She went to Oslo.", "mentions": [{"start": 12, "end": 16, "label": "LOC"}]}
{"text": "It rained.", "mentions": []}
{"text": "Nordbank fell 2 %.", "mentions": [{"start": 0, "end": 8, "label": "ORG"}]}"""


@contextmanager
def open_sources(sources: Sequence[Path], reading: Reading) -> Iterator[tuple[str, Records]]:
    """Read files, folders and archives of any format. Annotations of equal texts in several files
    are one record.

    YIELDS (tuple[str, Iterator[Annotated | Issue]]): The names of the formats, and the records.
    RAISES (InputError): If there is no such file or format or, while records are read, if a file
        isn't of its format.
    """
    if reading.format not in ("auto", *FORMATS):
        raise InputError(f"--format {reading.format} is not one of auto, {', '.join(FORMATS)}")
    with ExitStack() as stack:
        places: dict[str, str] = {}  # folder of an archive's files -> archive
        files = [file for path in sources for file in list_files(path, reading, stack, places)]
        with named(places):
            formats = [choose(file, reading) for file in files]
        names = ", ".join(dict.fromkeys(format_.name for format_ in formats))

        def read(*, with_keys: bool) -> Records:
            for file, format_ in zip(files, formats, strict=True):
                found = format_.read(file, reading)
                yield from add_keys(found) if with_keys else found

        if len(files) == 1:
            records = read(with_keys=False)
        else:
            records = join_copies(lambda: read(with_keys=True))
        yield names, name_places(records, places) if places else records


def detect(source: Path) -> str:
    """RETURNS (str): The names of the formats of a file or folder. Raises as `open_sources`."""
    with open_sources([source], Reading(blank("xx"))) as (names, _):
        return names


def add_keys(records: Records) -> Records:
    """YIELDS (Annotated | Issue): The records of a file, whose keys are their texts. A text that
    occurs twice in a file is two documents."""
    seen: Counter[str] = Counter()
    for item in records:
        if isinstance(item, Annotated):
            key = "".join(item.text.split())
            item = replace(item, key=f"{seen[key]} {key}")
            seen[key] += 1
        yield item


def name_places(records: Records, places: dict[str, str]) -> Records:
    """YIELDS (Annotated | Issue): The records, with the archive's name in place of the folder that
    its files are read from.
    RAISES (InputError): As the records do."""

    def rename(issue: Issue) -> Issue:
        return issue._replace(record=name_place(issue.record, places))

    with named(places):
        for item in records:
            if isinstance(item, Issue):
                yield rename(item)
            else:
                issues = [rename(issue) for issue in item.issues]
                yield replace(item, record=name_place(item.record, places), issues=issues)


@contextmanager
def named(places: dict[str, str]) -> Iterator[None]:
    """RAISES (InputError): As the block does, with the archive's name."""
    try:
        yield
    except InputError as error:
        error.args = (name_place(str(error), places),)
        raise


def name_place(text: str, places: dict[str, str]) -> str:
    for folder, archive in places.items():
        text = text.replace(folder, archive)
    return text


def list_files(
    source: Path, reading: Reading, stack: ExitStack, places: dict[str, str]
) -> list[Path]:
    """RETURNS (list[Path]): The files to read of a file, a folder or an archive, which is unpacked
    until the stack is closed.
    RAISES (InputError): If there is none, or one is a link out of the folder."""
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    if source.suffix.lower() == ZIP:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        try:
            with zipfile.ZipFile(source) as archive:
                size = sum(info.file_size for info in archive.infolist())
                if size > (free := shutil.disk_usage(folder).free) / 2:
                    raise InputError(
                        f"{source} has {size:,} bytes of files, and the disk has {free:,} left"
                    )
                archive.extractall(folder)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise InputError(f"{source} can't be unpacked: {first_line(error)}") from None
        places[folder] = str(source)
        files = list_folder(Path(folder), reading)
    elif source.is_dir():
        files = list_folder(source, reading)
    else:
        check_inside([source.with_suffix(TEXT)] if source.suffix == ".ann" else [], source.parent)
        return [source]
    if not files:
        raise InputError(f"{source} contains no file that ends in {', '.join(SUFFIXES)}")
    return files


def list_folder(folder: Path, reading: Reading) -> list[Path]:
    """RETURNS (list[Path]): The annotation files in a folder, by name. Of formats whose files lie
    beside others, such as texts, only theirs."""
    visible = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(map(is_hidden, path.relative_to(folder).parts))
    ]
    for pattern, name in OWN_FILES.items():
        own = check_inside((path for path in visible if path.match(pattern)), folder)
        own = [path for path in own if FORMATS[name].recognise(look_at(path, reading.encoding))]
        if own and reading.format in ("auto", name):
            check_inside((path.with_suffix(TEXT) for path in own), folder)
            return own
    return check_inside((path for path in visible if path.suffix.lower() in SUFFIXES), folder)


def is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def look_at(path: Path, encoding: str | None) -> Source:
    return Source(path) if path.suffix in BINARY else look(path, encoding)


def choose(path: Path, reading: Reading) -> Format:
    """RETURNS (Format): The format of a file.
    RAISES (InputError): If it has none, or several that would read it differently."""
    if reading.format != "auto":
        return FORMATS[reading.format]
    found = recognise(path, reading.encoding)
    if not found:
        raise explain(path, reading.encoding)
    if len(found) > 1:
        previews = {name: preview(FORMATS[name], path, reading) for name in found}
        readable = {name: shown for name, shown in previews.items() if shown} or previews
        if any(shown != next(iter(readable.values())) for shown in readable.values()):
            reasons = "; ".join(f"{name}: {found[name]}" for name in readable)
            raise InputError(f"{path} could be of several formats, name one by --format: {reasons}")
        return FORMATS[next(iter(readable))]
    return FORMATS[next(iter(found))]


def recognise(path: Path, encoding: str | None) -> dict[str, str]:
    """RETURNS (dict[str, str]): Each format that could read a file, and why."""
    source = look_at(path, encoding)
    reasons = {name: format_.recognise(source) for name, format_ in FORMATS.items()}
    found = {name: reason for name, reason in reasons.items() if reason}
    special = {name: reason for name, reason in found.items() if not FORMATS[name].is_general}
    return special or found


def preview(format_: Format, path: Path, reading: Reading) -> list[tuple[str, set[Any]]]:
    """RETURNS (list[tuple[str, set]]): Text and mentions of the first records; empty if they can't
    be read."""
    try:
        items = list(islice(format_.read(path, replace(reading, notes={})), FIRST))
    except InputError:
        return []
    return [(item.text, set(item.mentions)) for item in items if isinstance(item, Annotated)]


def explain(path: Path, encoding: str | None) -> InputError:
    """RETURNS (InputError): Why a file has no known format, and what to write instead.
    RAISES (InputError): If it isn't JSON at all."""
    records = iterate_records(path, encoding)
    first: Any = next(records, None)
    if first is None:
        return InputError(f"{path} has no records")
    if isinstance(first[1], Issue):
        return InputError(f"{first[0]}: {first[1].reason}")
    problem = f"{path} is JSON, but of no known format; write each text as a line of JSONL:"
    return InputError(problem, EXAMPLE)
