"""Random changes of bytes and of JSON values, for the stress tests of readers."""

import random
from typing import Any

PIECES = ["\t", "\n", "\n\n", " ", "O", "B-PER", "I-LOC", "E-", "S-X", "U-X", "-DOCSTART-", "\r"]
PIECES += ["\ufeff", "\x00", "\u2028", "_", "#", '"', "\U0001f600", "e\u0301", "\u00a0", "\u202e"]
PIECES += ["{", "}", "[", "]", "null", ":", ",", "-1", "1e18", "1" * 19, "9" * 5000, "true", "[1]"]
PIECES += ['"\\ud800"', "\\u001b", "\x1b[31m", '""', '"label"', "T1\tPER 0 3", ";", "\r\n", "*[1]|"]
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    4,
    10**18,
    1.5,
    "",
    "\ud800",
    "\x1b[2J",
    "x" * 300,
    "PER",
    "\U0001f600",
]
VALUES += [
    "\U0001f600",
    [],
    {},
    [1],
    {"a": 1},
    [[0, 3, "PER"]],
    [{"start": 0, "end": 3, "label": "-"}],
    ["B-X"],
]
NAMES = ["text", "label", "start", "end", "spans", "entities", "tokens", "answer", "result", "x"]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """RETURNS (bytes): The data with one to three changes: bytes replaced, cut out, repeated or put
    in, or the end missing."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 1, 2, 5, 40)))
        kind = rng.randrange(6)
        if kind == 0:
            data = data[:start] + bytes([rng.randrange(256)]) + data[end:]
        elif kind == 1:
            data = data[:start] + data[end:]
        elif kind == 2:
            data = data[:end] + data[start:end] + data[end:]
        elif kind == 3:
            data = data[: max(1, start)]
        else:
            data = data[:start] + rng.choice(PIECES).encode() + data[start:]
    return data


def mutate_value(value: Any, rng: random.Random) -> Any:
    """RETURNS (Any): A JSON value with one change, anywhere in it: another value, a field or an
    item less or twice, or a field with another name."""
    found: list[Any] = []
    if isinstance(value, dict | list):
        found = list(value.items() if isinstance(value, dict) else enumerate(value))
    if not found or rng.random() < 0.15:
        return rng.choice(VALUES)
    key, child = rng.choice(found)
    changed = value.copy()
    kind = rng.randrange(8)
    if kind == 0:
        del changed[key]
    elif kind == 1 and isinstance(changed, list):
        changed.insert(key, child)
    elif kind == 1:
        changed[rng.choice(NAMES)] = changed.pop(key)
    else:
        changed[key] = mutate_value(child, rng)
    return changed
