"""Files that are either whole or not there: write temporary, then rename."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` that takes its place if the block succeeds.

    target (Path): The file or folder to make; its parents are made too.
    YIELDS (Path): A path that doesn't exist yet: write a file there, or make a folder.
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
