"""Label Studio's tasks, and the annotations of JSON-MIN."""

from pathlib import Path
from typing import Any

import pytest

from conll_ner.common.console import InputError
from tests.conll_ner.data.formats.support import (
    MENTIONS,
    RESULT,
    TEXT,
    jsonl,
    labels,
    mentions,
    read,
    task,
)

OTHER = [{"value": {"start": 0, "end": 3, "text": "Ada", "labels": ["ORG"]}, "type": "labels"}]


def named(tag: str) -> list[dict[str, Any]]:
    return [item | {"to_name": tag} for item in RESULT]


def mention(start: int, end: int, text: Any, label: str) -> dict[str, Any]:
    return {
        "type": "labels",
        "value": {"start": start, "end": end, "text": text, "labels": [label]},
    }


def test_cancelled_and_unannotated_tasks_are_listed(tmp_path: Path) -> None:
    cancelled = task(RESULT)
    cancelled["annotations"][0]["was_cancelled"] = True
    predicted = task(predictions=[{"result": RESULT}])
    path = jsonl(tmp_path / "in.jsonl", cancelled, predicted, task(RESULT))
    _, docs, issues = read(path)
    assert len(docs) == 1
    assert [issue.reason for issue in issues] == ["cancelled", "no annotation"]


def test_of_annotations_that_differ_the_first_is_used(tmp_path: Path) -> None:
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", task(RESULT, RESULT), task(RESULT, OTHER)))
    assert [mentions(doc) for doc in docs] == [MENTIONS, MENTIONS]
    assert [i.reason for i in issues] == ["another annotation of the text, which differs, is used"]


def test_other_results_are_ignored(tmp_path: Path) -> None:
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    choice = {"type": "choices", "value": {"choices": ["news"]}}
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task([relation, choice, *RESULT])))
    assert mentions(doc) == MENTIONS
    assert issues == []


@pytest.mark.parametrize("unit", ["code points", "UTF-16"])
def test_offsets_are_those_that_fit_the_stated_text(unit: str, tmp_path: Path) -> None:
    text = "😀 Ada left 😀 Oslo."
    shift = [1, 2] if unit == "UTF-16" else [0, 0]
    spans = [
        (2 + shift[0], 5 + shift[0], "Ada", "PER"),
        (13 + shift[1], 17 + shift[1], "Oslo", "LOC"),
    ]
    result = [
        {"value": {"start": a, "end": b, "text": words, "labels": [label]}}
        for a, b, words, label in spans
    ]
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task(result, text=text)))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_a_text_that_is_not_the_stated_one_is_listed(tmp_path: Path) -> None:
    result = [{"value": {"start": 0, "end": 3, "text": "Bob", "labels": ["PER"]}}]
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task(result)))
    assert labels(doc) == ["?", "O", "O", "O"]
    assert [issue.reason for issue in issues] == ["its text is not the stated one: Bob"]


def test_hypertext_needs_global_offsets(tmp_path: Path) -> None:
    value = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "text": "Ada", "labels": ["PER"]}
    with_offsets = value | {"globalOffsets": {"start": 0, "end": 3}}
    path = jsonl(tmp_path / "in.jsonl", task([{"value": with_offsets}]), task([{"value": value}]))
    _, (first, second), issues = read(path)
    assert (mentions(first), mentions(second)) == ([("Ada", "PER")], [])
    assert [i.reason for i in issues] == ["a position in hypertext, without global offsets"]


def test_min_has_one_record_per_annotation(tmp_path: Path) -> None:
    records = [
        {"text": TEXT, "id": 1, "annotation_id": i, "label": [item["value"] for item in result]}
        for i, result in enumerate((RESULT, RESULT, OTHER))
    ]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *records))
    assert [mentions(doc) for doc in docs] == [MENTIONS]
    assert [i.reason for i in issues] == ["another annotation of the text, which differs, is used"]


@pytest.mark.parametrize("utf16", [False, True])
@pytest.mark.parametrize("crlf", [False, True])
def test_the_browser_may_count_line_ends_and_emoji_in_its_own_way(
    utf16: bool, crlf: bool, tmp_path: Path
) -> None:
    text = "😀 Ada left\r\n\r\nOslo."
    ada, oslo = 2 + utf16, 14 + utf16 - 2 * crlf
    result = [
        mention(ada, ada + 3, "Ada", "PER"),
        mention(oslo, oslo + 4, "Oslo", "LOC"),
    ]
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task(result, text=text)))
    assert doc.text == text
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_the_unit_of_offsets_is_decided_record_by_record(tmp_path: Path) -> None:
    text = "😀 Ada"
    old, new = mention(3, 6, "Ada", "PER"), mention(2, 5, "Ada", "PER")
    path = jsonl(tmp_path / "in.jsonl", task([old], text=text), task([new], text=text))
    assert [mentions(doc) for doc in read(path)[1]] == [[("Ada", "PER")]] * 2


def test_a_mention_in_the_wrong_place_is_unknown_where_its_text_is(tmp_path: Path) -> None:
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task([mention(0, 3, "Oslo", "LOC")])))
    assert labels(doc) == ["?", "O", "?", "O"]
    assert [(i.text, i.start, i.end) for i in issues] == [("Ada", 0, 3)]


def hypertext(words: str | None, offsets: tuple[int, int] | None) -> dict[str, Any]:
    value: dict[str, Any] = {
        "start": "/p[1]/text()[1]",
        "end": "/p[1]/text()[1]",
        "startOffset": 0,
        "endOffset": 3,
        "hypertextlabels": ["PER"],
    }
    if words is not None:
        value["text"] = words
    if offsets is not None:
        value["globalOffsets"] = {"start": offsets[0], "end": offsets[1]}
    return {"type": "hypertextlabels", "value": value}


@pytest.mark.parametrize(
    ("html", "item", "expected", "reasons"),
    [
        (TEXT, hypertext("Ada", (0, 3)), "BOOO", []),
        (TEXT, hypertext(None, (0, 3)), "BOOO", []),
        (
            TEXT,
            hypertext("Ada", None),
            "?OOO",
            ["a position in hypertext, without global offsets"],
        ),
        (
            "<p> Ada </p>",
            hypertext("Ada", (0, 3)),
            "????OOO",
            ["its text is not the stated one: Ada"],
        ),
        (
            "<p> Ada </p>",
            hypertext(None, (0, 3)),
            "???????",
            ["a position in hypertext, without its text"],
        ),
    ],
)
def test_hypertext_is_read_where_its_source_is_what_the_browser_shows(
    html: str, item: dict[str, Any], expected: str, reasons: list[str], tmp_path: Path
) -> None:
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task([item], data={"text": html})))
    assert [issue.reason for issue in issues] == reasons
    assert "".join(labels(doc)) == expected


def test_regions_without_a_label_are_listed(tmp_path: Path) -> None:
    no_labels = {"type": "labels", "value": {"start": 0, "end": 3, "text": "Ada"}}
    empty = mention(9, 13, "Oslo", "x")
    empty["value"]["labels"] = []
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task([no_labels, empty])))
    assert labels(doc) == ["?", "O", "?", "O"]
    assert [issue.reason for issue in issues] == ["without a label"] * 2


def test_a_region_of_two_labels_is_two_mentions(tmp_path: Path) -> None:
    both = mention(0, 3, "Ada", "PER")
    both["value"]["labels"].append("ORG")
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task([both])))
    assert mentions(doc) == [("Ada", "PER")]
    assert [(i.label, i.reason) for i in issues] == [("ORG", "overlaps with PER: Ada")]


def test_seconds_of_audio_are_no_characters(tmp_path: Path) -> None:
    audio = {"type": "labels", "value": {"start": 0.5, "end": 2.5, "labels": ["PER"]}}
    _, _, issues = read(jsonl(tmp_path / "in.jsonl", task([audio])))
    assert [issue.reason for issue in issues] == ["a position that is no character"]


@pytest.mark.parametrize(
    "data",
    [
        {"body": TEXT},
        {"text": "Bo won.", "body": TEXT},
        {"doc": "7", "text": TEXT},
        {"url": "a", "title": "b", "body": TEXT},
        {"text": TEXT, "doc": "Ada"},
    ],
)
def test_the_text_is_the_field_that_fits(data: dict[str, Any], tmp_path: Path) -> None:
    """The tag's name, "doc" here, may be another field's."""
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task(named("doc"), data=data)))
    assert doc.text == TEXT
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_tasks_without_mentions_have_the_field_of_earlier_ones(tmp_path: Path) -> None:
    data = {"source": "a", "body": TEXT}
    tasks = [task([], data=data), task(named("doc"), data=data), task([], data=data)]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *tasks), strict=False)
    assert [mentions(doc) for doc in docs] == [MENTIONS, []]
    assert [i.reason for i in issues] == [
        "which of its strings is the text isn't known: source, body"
    ]


def test_without_stated_texts_the_name_of_the_tag_decides(tmp_path: Path) -> None:
    data = {"title": "Bo won.", "body": TEXT}
    body = task(named("body"), data=data)
    title = task([mention(0, 2, None, "PER") | {"to_name": "title"}], data=data)
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", body, title))
    assert [mentions(doc) for doc in docs] == [MENTIONS, [("Bo", "PER")]]
    assert issues == []


def test_mentions_in_two_texts_are_two_records(tmp_path: Path) -> None:
    title = mention(0, 2, "Bo", "PER") | {"to_name": "title"}
    data = {"title": "Bo won.", "body": TEXT}
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", task([title, *named("body")], data=data)))
    assert [(doc.text, mentions(doc)) for doc in docs] == [
        ("Bo won.", [("Bo", "PER")]),
        (TEXT, MENTIONS),
    ]
    assert issues == []


def minimal(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "annotation_id": 1, "annotator": "ada@example.org"} | fields


def test_min_takes_the_mentions_of_all_controls(tmp_path: Path) -> None:
    person, place = ([item["value"]] for item in RESULT)
    record = minimal(text=TEXT, people=person, places=place, topics=["news"], other=[])
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", record))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_min_finds_the_text_by_the_mentions(tmp_path: Path) -> None:
    values = [item["value"] for item in RESULT]
    first = minimal(body=TEXT, comment="much longer than the text is", label=values)
    second = minimal(id=2, body="Bo won.", comment="longer than the text is")
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", first, second))
    assert [doc.text for doc in docs] == [TEXT, "Bo won."]
    assert issues == []


def test_min_tasks_on_the_same_text_are_different_ones(tmp_path: Path) -> None:
    values = [item["value"] for item in RESULT]
    records = [minimal(id=i, text=TEXT, label=values) for i in (1, 2)]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *records))
    assert [mentions(doc) for doc in docs] == [MENTIONS, MENTIONS]
    assert issues == []


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (task(annotations=[1]), '1 in the field "annotations" is no object'),
        (task(5), 'the field "result" is 5'),
        (task([mention(0, 3, "Ada", "PER"), 5]), '5 in the field "result" is no object'),
        (task([{"value": {"start": 0, "end": 1, "labels": [5]}}]), "the label 5 is no string"),
        (task([mention(0, 3, ["Ada"], "PER")]), "the field \"text\" is ['Ada']"),
        (task(RESULT, data="Ada"), "the field \"data\" is 'Ada'"),
        (5, 'no field "data"'),
    ],
)
def test_a_broken_task_is_one_line(record: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(jsonl(tmp_path / "in.jsonl", task(RESULT), record))
    assert str(error.value).endswith(f"in.jsonl:2: {words}")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("link", ["/data/upload/1/a.txt", "https://example.org/a.txt", "s3://b/a"])
def test_a_link_is_no_text(link: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", task([], text=link), task(RESULT))
    _, docs, (issue,) = read(path, strict=False)
    assert [doc.text for doc in docs] == [TEXT]
    assert issue.unreadable
    assert issue.reason.startswith(f"its text is a link: {link}")


def region(tag: str, start: int, end: int, name: str = "x") -> dict[str, Any]:
    value = {"start": start, "end": end, "text": TEXT[start:end], "taxonomy": [["a"]]}
    return {"id": name, "type": tag, "to_name": "text", "value": value}


def test_regions_of_other_tags_are_listed_and_their_words_are_unknown(tmp_path: Path) -> None:
    _, (doc,), (issue,) = read(
        jsonl(tmp_path / "in.jsonl", task([RESULT[0], region("taxonomy", 9, 13)]))
    )
    assert labels(doc) == ["B", "O", "?", "O"]
    assert (issue.reason, issue.text) == ("a region of the tag taxonomy", "Oslo")


def test_choices_for_a_labelled_region_are_passed_over(tmp_path: Path) -> None:
    choice = region("taxonomy", 9, 13, str(RESULT[1]["id"]))
    _, (doc,), issues = read(jsonl(tmp_path / "in.jsonl", task([*RESULT, choice])))
    assert mentions(doc) == MENTIONS
    assert issues == []


def test_tasks_that_were_only_classified_are_listed(tmp_path: Path) -> None:
    choice = {"type": "choices", "to_name": "text", "value": {"choices": ["news"]}}
    tasks = [task([choice]), task([]), task([choice], RESULT)]
    _, docs, issues = read(jsonl(tmp_path / "in.jsonl", *tasks))
    assert [mentions(doc) for doc in docs] == [[], MENTIONS]
    assert [issue.reason for issue in issues] == ["only classified: nobody looked for mentions"]
