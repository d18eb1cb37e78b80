"""Pack corpora, texts and backbones for a machine without a network, in parts of a limited size:
weights are rounded to fewer bits, which compress well."""

import io
import json
import lzma
import tarfile
from pathlib import Path
from typing import Annotated

import numpy
import typer
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from conll_ner.benchmarking.frontier_systems import list_files
from conll_ner.common.command import WRITES_FOLDER, command
from conll_ner.common.console import InputError, msg
from conll_ner.common.files import atomic_write, read_json

WEIGHTS, SOURCE = "model.safetensors", "source.json"
MANTISSA = 23  # bits of float32
# lp and pb: a weight has four bytes, of which each is as predictable as its place
# (https://docs.python.org/3/library/lzma.html#specifying-custom-filter-chains).
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 1, "lc": 2, "lp": 2, "pb": 2}]
MB = 10**6


@command
def main(
    sources: Annotated[
        list[Path], typer.Argument(help="Files and folders; they keep their relative paths")
    ],
    output: Annotated[Path, typer.Argument(help="Folder for the parts"), WRITES_FOLDER],
    mb: Annotated[float, typer.Option(min=0.001, help="At most so many MB in a part")] = 60,
    bits: Annotated[
        int, typer.Option(min=1, max=MANTISSA, help="Bits of a weight's mantissa that are kept")
    ] = 9,
) -> None:
    """Pack files and folders for a machine without a network: part-00, part-01 and so on. Weights,
    files called model.safetensors, are rounded. To unpack them there:
    cat OUTPUT/part-* | tar --extract --xz"""
    for source in sources:
        if not source.exists():
            raise InputError(f"{source}: no such file or folder")
        if source.is_absolute() or ".." in source.parts:
            raise InputError(f"{source} is not below the current folder")
    with atomic_write(output) as temporary:
        temporary.mkdir()
        whole = temporary / "whole"
        with (
            lzma.open(whole, "wb", filters=FILTERS) as compressed,
            tarfile.open(fileobj=compressed, mode="w|", dereference=True) as archive,
        ):
            for source in sources:
                for path in list_files(source) if source.is_dir() else [source]:
                    add_file(archive, path, bits)
        sizes = split(whole, int(mb * MB))
    msg.good(f"{output}: {len(sizes)} parts, {sum(sizes) / MB:.1f} MB")


def add_file(archive: tarfile.TarFile, path: Path, bits: int) -> None:
    """Add a file, and note in a backbone's source.json that its weights are rounded."""
    rounded = bits < MANTISSA and (path.parent / WEIGHTS).is_file()
    if not rounded or path.name not in (WEIGHTS, SOURCE):
        archive.add(path, recursive=False)
        return
    if path.name == WEIGHTS:
        data = round_weights(path, bits)
    else:
        source = read_json(path, "fetch the backbone again")
        data = json.dumps(source | {"mantissa_bits": bits}, indent=2).encode()
    info = archive.gettarinfo(str(path))
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def round_weights(path: Path, bits: int) -> bytes:
    """RETURNS (bytes): A safetensors file whose numbers in float32 have `bits` bits of mantissa.
    RAISES (InputError): If it isn't such a file."""
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: damaged: {error}") from None
    cut = MANTISSA - bits
    for name, values in tensors.items():
        if values.dtype == numpy.float32:
            # To the nearest: half of the last bit is added before the others are cleared.
            raised = values.view(numpy.uint32) + numpy.uint32(1 << (cut - 1))
            kept = (raised >> numpy.uint32(cut)) << numpy.uint32(cut)
            tensors[name] = kept.view(numpy.float32)
    return save(tensors, metadata={"format": "pt"})


def split(whole: Path, size: int) -> list[int]:
    """Cut a file into parts beside it. RETURNS (list[int]): Their sizes in bytes."""
    sizes: list[int] = []
    with whole.open("rb") as file:
        while data := file.read(size):
            (whole.parent / f"part-{len(sizes):02}").write_bytes(data)
            sizes.append(len(data))
    whole.unlink()
    return sizes
