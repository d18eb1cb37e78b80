"""Find the files of train, dev and test in a folder, in any format."""

from pathlib import Path

# Names without suffix, the project's own first; "eng.train" and the others are the original
# distribution's of CoNLL-2003, whose dots aren't suffixes.
NAMES = {
    "train": ("train", "eng.train"),
    "valid": ("valid", "dev", "validation", "eng.testa"),
    "test": ("test", "eng.testb"),
}
# Of several files with the same name, the first in this order.
SUFFIXES = (
    "",
    ".txt",
    ".conll",
    ".conllu",
    ".iob",
    ".bio",
    ".tsv",
    ".csv",
    ".spacy",
    ".jsonl",
    ".json",
    ".parquet",
    ".zip",
)


def find_splits(folder: Path) -> dict[str, Path]:
    """RETURNS (dict[str, Path]): The file, or folder, of each split that there is: train, valid
    and test."""
    found = {}
    for split, names in NAMES.items():
        candidates = (folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
        path = next((path for path in candidates if path.exists()), None)
        if path is not None:
            found[split] = path
    return found
