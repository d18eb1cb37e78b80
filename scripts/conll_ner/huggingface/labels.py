"""Map the labels of a checkpoint to those of `token_ner`."""

from collections.abc import Sequence
from typing import NamedTuple

from conll_ner.common.console import InputError
from conll_ner.data.columns.schemes import OUTSIDE, parse_tag

# The prefixes of each label scheme, with the equivalent prefix of token_ner.
SCHEMES: dict[str, dict[str, str]] = {
    "bio": {"B": "B", "I": "I"},
    "bilou": {"B": "B", "I": "I", "L": "L", "U": "U"},
    "iobes": {"B": "B", "I": "I", "E": "L", "S": "U"},
}


# Labels of padding, of special tokens and of further wordpieces, in some checkpoints. No word has
# them, so their columns are left out.
IGNORED = {"PAD", "[PAD]", "<PAD>", "X", "[CLS]", "[SEP]", "CLS", "SEP", "<S>", "</S>"}


class LabelMapping(NamedTuple):
    """The label scheme of a checkpoint, and its columns under the labels of `token_ner`."""

    scheme: str  # "bio", "bilou" or "io"
    types: list[str]  # sorted
    ids: dict[
        str, int
    ]  # from token_ner's label to the checkpoint's column; in IO, B and I share it


def read_labels(names: Sequence[str]) -> LabelMapping:
    """Detect the label scheme of a checkpoint.

    names (Sequence[str]): The labels by column, as in the config's id2label.
    RAISES (InputError): If they match no scheme, or a type has no label that begins a mention.
    """
    listed = ", ".join(names)
    types_of = find_io_types(names)
    if types_of:
        ids = {f"{p}-{type_}": i for type_, i in types_of.items() for p in "BI"}
        return LabelMapping("io", sorted(types_of), {"O": names.index("O"), **ids})
    try:
        tags = [OUTSIDE if is_special(name) else parse_tag(name) for name in names]
    except ValueError as error:
        raise InputError(f"{error}; the checkpoint's labels are {listed}") from None
    prefixes = {tag.prefix for tag in tags} - {"O"}
    scheme = next((s for s, known in SCHEMES.items() if prefixes <= known.keys()), None)
    if scheme is None or not prefixes or "O" not in names or len(set(names)) != len(names):
        raise InputError(
            f"labels must be O and B-, I- (BIO), with L-, U- for BILOU or E-, S- for IOBES, or all "
            f"without prefix (IO), and unique; the checkpoint's labels are {listed}"
        )
    ours = SCHEMES[scheme]
    ids = {"O": names.index("O")} | {
        f"{ours[tag.prefix]}-{tag.type}": i for i, tag in enumerate(tags) if tag.type
    }
    types = sorted({tag.type for tag in tags if tag.type})
    for type_ in types:
        if f"B-{type_}" not in ids and f"U-{type_}" not in ids:
            raise InputError(
                f"no label begins a mention of {type_}: the scheme is IOB1, or labels are "
                f"missing; the checkpoint's labels are {listed}"
            )
    return LabelMapping("bio" if scheme == "bio" else "bilou", types, ids)


def find_io_types(names: Sequence[str]) -> dict[str, int]:
    """RETURNS (dict[str, int]): The column of each type if the scheme is IO: beside O, all labels
    are types, or all are types with I-. Otherwise empty."""
    others = {
        name: i for i, name in enumerate(names) if name != OUTSIDE.prefix and not is_special(name)
    }
    if "O" not in names or len(set(names)) != len(names):
        return {}
    if all(name.startswith("I-") for name in others):
        return {name[2:]: i for name, i in others.items()}
    return {} if any(map(has_prefix, others)) else others


def has_prefix(name: str) -> bool:
    """RETURNS (bool): Whether a label is one of a scheme with prefixes, such as B-PER."""
    try:
        parse_tag(name)
    except ValueError:
        return False
    return True


def is_special(name: str) -> bool:
    return name.upper() in IGNORED
