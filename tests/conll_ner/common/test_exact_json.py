"""JSON: numbers keep their value, and what has no exact value in JSON is an error."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conll_ner.common.exact_json import MAX_DEPTH, dump_json, is_too_deep, load_json

# Numbers as JSON writes them (RFC 8259).
NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
)


@given(NUMBERS)
def test_numbers_come_out_with_the_value_they_went_in_with(number: str) -> None:
    found = dump_json(load_json(f"[{number}]"))
    assert Decimal(found.strip("[]")) == Decimal(number)
    json.loads(found, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("0.5", 0.5),
        ("0.10", 0.1),  # the value counts, not the digits
        ("-0.0", -0.0),
        ("1e5", 100_000.0),
        ("7", 7),
        ("1e999", Decimal("1e999")),
        ("1e-400", Decimal("1e-400")),
        ("0.1234567890123456789", Decimal("0.1234567890123456789")),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_numbers_are_decimals_only_where_a_float_has_another_value(number: str, value: Any) -> None:
    found = load_json(number)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("half", "not JSON: Expecting value"),
        ("[NaN]", "not JSON: NaN is not a number"),
        ("[-Infinity]", "not JSON: -Infinity is not a number"),
        ('{"id": 1, "a": 2, "id": 1}', 'the key "id" occurs more than once in an object'),
        ('[{"a": {"b": 1, "b": 2}}]', 'the key "b" occurs more than once in an object'),
        (f'{{"{"k" * 200}": 1, "{"k" * 200}": 1}}', f'the key "{"k" * 100}…" occurs'),
        ("1e99999999999999999999", "the exponent of 1e99999999999999999999 is too large"),
        ("9" * 5000, "4300 digits"),  # Python's limit
        ("[" * 100_000, "nested more than 100 levels deep"),
    ],
)
def test_what_would_be_lost_is_an_error(line: str, words: str) -> None:
    with pytest.raises(ValueError) as error:
        load_json(line)
    assert words in str(error.value)


def test_keys_may_occur_in_several_objects() -> None:
    line = '{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}'
    assert load_json(line) == json.loads(line)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [-float("inf")]}])
def test_nan_and_infinity_are_not_written(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_json(value)


def test_text_is_written_as_it_is() -> None:
    assert dump_json({"text": 'Å "b"\n\u2028'}) == '{"text": "Å \\"b\\"\\n\u2028"}'


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}])
def test_depth_is_limited(wrap: Any) -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = wrap(value)
    assert not is_too_deep(value)
    assert is_too_deep(wrap(value))
    assert not is_too_deep([1, {"a": []}, "text"])
