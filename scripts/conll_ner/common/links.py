"""Links in folders of strangers: an archive can hold one to any file of this machine."""

import os
from collections.abc import Iterable
from pathlib import Path

from conll_ner.common.console import InputError


def check_inside(paths: Iterable[Path], folder: Path) -> list[Path]:
    """RETURNS (list[Path]): The paths, sorted.
    RAISES (InputError): If one is a link to something outside of the folder."""
    root = Path(os.path.realpath(folder))
    found = sorted(paths)
    for path in found:
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
            raise InputError(f"{path} is a link out of {folder}; put a copy of its file there")
    return found
