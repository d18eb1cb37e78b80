"""Scores by wordpiece, against a transformers model and by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
import transformers
from spacy.tokens import Doc

from conll_ner.data.wordpiece_labels import encode, read_sentences, score
from conll_ner.evaluation import evaluate
from conll_ner.evaluation.seqeval_scores import annotate_gold, iob2_labels
from conll_ner.evaluation.split_scores import evaluate_file
from conll_ner.evaluation.wordpiece_scores import (
    LabelledWordpieces,
    find_labelled_head,
    label_wordpieces,
    score_wordpieces,
)
from conll_ner.huggingface.importing import import_checkpoint
from tests.conftest import SAMPLE
from tests.hf_helpers import NAMES, float32, make_checkpoint, pipe


def by_transformers(checkpoint: Path, corpus: Path) -> dict[str, float]:
    """The evaluation of the course: sentence by sentence, with a label on every wordpiece."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    model = transformers.AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    ids = {name: i for i, name in enumerate(NAMES)}
    encoded = [encode(sentence, tokenizer, ids) for sentence in read_sentences(corpus)]
    predicted = []
    with torch.no_grad():
        for row in encoded:
            logits = model(torch.tensor([row["input_ids"]])).logits[0]
            predicted.append(logits.argmax(-1).numpy())
    scores = score(predicted, encoded, NAMES)
    return {name: scores[f"wordpiece_{name}"] for name in ("precision", "recall", "f1", "accuracy")}


@pytest.mark.parametrize("corpus", ["tiny", "sample"])
def test_wordpiece_scores_agree_with_transformers(
    corpus: str, tmp_path: Path, tiny_file: Path
) -> None:
    path = {"tiny": tiny_file, "sample": SAMPLE / "valid.txt"}[corpus]
    checkpoint = make_checkpoint(tmp_path / "checkpoint")
    nlp = import_checkpoint(str(checkpoint))
    pipe(nlp, "transformer").model.attrs["windowing"] = float32(nlp)
    found = evaluate_file(nlp, path, {}, gold_sentences=True, by_wordpiece=True)["wordpiece"]
    assert found == pytest.approx(by_transformers(checkpoint, path))
    assert 0 < found["accuracy"] < 1


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"overrides": {"first_only": False}}, True),  # hf-train
        ({"overrides": {"first_only": True}}, False),  # hf-train --labels first
        ({"overrides": {"training.dropout": 0.2}}, False),  # train
        (None, False),  # a checkpoint of the hub
    ],
)
def test_wordpiece_scores_are_those_of_heads_trained_on_all(
    record: dict[str, Any] | None, expected: bool, tmp_path: Path, tiny_file: Path
) -> None:
    import_checkpoint(str(make_checkpoint(tmp_path / "checkpoint"))).to_disk(tmp_path / "nlp")
    path = tmp_path / "run.json"
    if record is not None:
        path.write_text(json.dumps(record))
    output = tmp_path / "metrics.json"
    training_record = None if record is None else path
    evaluate.main(
        str(tmp_path / "nlp"), [tiny_file], output, training_record=training_record, device="cpu"
    )
    (scores,) = json.loads(output.read_text())["splits"].values()
    assert (scores["wordpiece"] is not None) is expected


def test_wordpiece_labels_of_bilou_are_converted_to_bio(tmp_path: Path) -> None:
    names = ["O", "B-A", "I-A", "L-A", "U-A"]
    nlp = import_checkpoint(str(make_checkpoint(tmp_path / "checkpoint", names=names)))
    docs = [Doc(nlp.vocab, words=list("abcdefghijklmnop")), Doc(nlp.vocab, words=["\n"])]
    head = pipe(nlp, "token_ner")
    letters, blank = (label_wordpieces(head, doc) for doc in nlp.pipe(docs))
    assert len(letters.labels) == 16
    assert {"O", "B-A", "I-A"} >= set(letters.labels) != {"O"}
    assert blank.labels == []


def test_wordpiece_scores_skip_words_without_wordpieces(tmp_path: Path) -> None:
    nlp = import_checkpoint(str(make_checkpoint(tmp_path / "checkpoint")))
    docs = [Doc(nlp.vocab), Doc(nlp.vocab, words=["\n"]), Doc(nlp.vocab, words=["Ada", "\n", "x"])]
    head = find_labelled_head(nlp)
    assert head is not None
    found: list[LabelledWordpieces] = []
    annotate_gold(nlp, docs, visit=lambda doc: found.append(label_wordpieces(head, doc)))
    assert score_wordpieces(docs, found, iob2_labels(docs))["recall"] == 0


def test_annotated_docs_lose_the_output_of_the_transformer(tmp_path: Path) -> None:
    """That of a whole corpus would fill a GPU."""
    nlp = import_checkpoint(str(make_checkpoint(tmp_path / "checkpoint")))
    docs = [Doc(nlp.vocab, words=["Ada", "left"])]
    assert all(doc._.trf_data is None for doc in annotate_gold(nlp, docs))


def test_other_pipelines_have_no_wordpiece_scores() -> None:
    assert find_labelled_head(spacy.blank("en")) is None
