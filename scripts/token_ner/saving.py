"""Save a model in thinc's format, without further copies of its weights in memory: msgpack's packer
holds an object twice, which for a model of BERT-base's size are 0.9 GB at each of two levels."""

import struct
from collections.abc import Callable, Mapping
from operator import methodcaller
from pathlib import Path
from typing import IO, Any

import srsly
from srsly.msgpack import Packer
from thinc.api import Model

BIN32 = 0xC6  # https://github.com/msgpack/msgpack/blob/master/spec.md: then 4 bytes of length


def write_blob(file: IO[bytes], write: Callable[[IO[bytes]], object]) -> None:
    """Write bytes as msgpack's bin type, without knowing their number before.

    write (Callable): Writes the bytes to the file.
    RAISES (OverflowError): If they are 4 GiB or more, msgpack's limit.
    """
    start = file.tell()
    file.write(struct.pack(">BI", BIN32, 0))
    write(file)
    end = file.tell()
    size = end - start - struct.calcsize(">BI")
    if size >= 2**32:
        raise OverflowError(f"the weights have {size:,} bytes; msgpack's limit is 4 GiB")
    file.seek(start)
    file.write(struct.pack(">BI", BIN32, size))
    file.seek(end)


def write_map(
    file: IO[bytes], values: Mapping[str, Any], blobs: Mapping[str, Callable[[IO[bytes]], object]]
) -> None:
    """Write a map as `srsly.msgpack_dumps` does.

    blobs (Mapping[str, Callable]): For some keys, a function that writes the packed value or, of
        `write_blob`, the bytes.
    """
    packer = Packer(use_bin_type=True)
    file.write(packer.pack_map_header(len(values)))
    for key, value in values.items():
        file.write(packer.pack(key))
        if key in blobs:
            blobs[key](file)
        else:
            file.write(srsly.msgpack_dumps(value))


class LargeModel(Model[Any, Any]):
    """A thinc model whose shims have large weights."""

    def to_disk(self, path: Path | str) -> None:
        saved = self.to_dict()

        def write_shims(file: IO[bytes]) -> None:
            packer = Packer(use_bin_type=True)
            file.write(packer.pack_array_header(len(saved["shims"])))
            for shims in saved["shims"]:
                file.write(packer.pack_array_header(len(shims)))
                for shim in shims:
                    write_blob(file, methodcaller("write", shim))

        with Path(path).open("wb") as file:
            write_map(file, saved, {"shims": write_shims})
