"""How the labels of a checkpoint correspond to those of `token_ner`."""

from collections.abc import Sequence
from typing import NamedTuple

from common.console import InputError
from corpus.schemes import parse_tag

# Schemes by the prefixes that they have, and what each is to token_ner's columns.
SCHEMES: dict[str, dict[str, str]] = {
    "bio": {"B": "B", "I": "I"},
    "bilou": {"B": "B", "I": "I", "L": "L", "U": "U"},
    "iobes": {"B": "B", "I": "I", "E": "L", "S": "U"},
}


class Labels(NamedTuple):
    """The correspondence between the labels of a checkpoint and those of `token_ner`."""

    scheme: str  # "bio" or "bilou"
    types: list[str]  # sorted
    ids: dict[str, int]  # token_ner's label: the checkpoint's column


def read_labels(names: Sequence[str]) -> Labels:
    """Detect the label scheme of a checkpoint.

    names (Sequence[str]): By column, as in the config's id2label.
    RAISES (InputError): If they are of none, or a type has no label that begins a mention.
    """
    listed = ", ".join(names)
    try:
        tags = [parse_tag(name) for name in names]
    except ValueError as error:
        raise InputError(f"{error}; the checkpoint's labels are {listed}") from None
    prefixes = {tag.prefix for tag in tags} - {"O"}
    scheme = next((s for s, known in SCHEMES.items() if prefixes <= known.keys()), None)
    if scheme is None or not prefixes or "O" not in names or len(set(names)) != len(names):
        raise InputError(
            f"labels must be O and B-, I- (BIO), or also L-, U- (BILOU) or E-, S- (IOBES), each "
            f"once; the checkpoint's are {listed}"
        )
    ours = SCHEMES[scheme]
    ids = {"O": names.index("O")} | {
        f"{ours[tag.prefix]}-{tag.type}": i for i, tag in enumerate(tags) if tag.type
    }
    types = sorted({tag.type for tag in tags if tag.type})
    for type_ in types:
        if f"B-{type_}" not in ids and f"U-{type_}" not in ids:
            raise InputError(
                f"no label begins a mention of {type_}: IOB1, or not all labels; the "
                f"checkpoint's are {listed}"
            )
    return Labels("bio" if scheme == "bio" else "bilou", types, ids)
