"""Atomic writes: to a temporary path first, then renamed."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `target` if the block succeeds.

    target (Path): The file or folder to write. Missing parents are created.
    YIELDS (Path): A path that doesn't exist yet: write a file there, or create a folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        temporary = Path(folder) / target.name
        yield temporary
        if target.is_dir():
            # A folder can't be renamed over one that isn't empty: move the old one out first.
            target.rename(Path(folder) / "old")
        temporary.replace(target)


def sha256(path: Path) -> str:
    """RETURNS (str): The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
