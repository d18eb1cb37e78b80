"""JSON without loss: numbers keep their value, and an object has every key once."""

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import simplejson

from conll_ner.common.console import shorten

MAX_DEPTH = 100  # levels; far below what Python's recursion limit allows for writing them


def load_json(line: str) -> Any:
    """RETURNS (Any): The value. A number is a Decimal if it isn't exactly a float's.
    RAISES (ValueError): If the line isn't JSON, or has a key twice in one object."""
    try:
        return DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None


def dump_json(value: Any) -> str:
    """RETURNS (str): JSON on one line, without a line feed. Other types, such as dates, become
    strings.
    RAISES (ValueError): If a number is NaN or infinite."""
    text: str = simplejson.dumps(value, ensure_ascii=False, default=str, encoding=None)
    return text


def parse_number(text: str) -> float | Decimal:
    number = float(text)
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the exponent of {shorten(text)} is too large") from None
    return number if Decimal(repr(number)) == exact else exact


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: {name} is not a number")


def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f'the key "{shorten(key)}" occurs more than once in an object')
    return row


DECODER = json.JSONDecoder(
    parse_float=parse_number, parse_constant=refuse_constant, object_pairs_hook=make_object
)


def is_too_deep(value: Any) -> bool:
    """RETURNS (bool): Whether objects and lists are nested more than MAX_DEPTH levels deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list | tuple)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
