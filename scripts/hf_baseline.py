"""The well-known recipe, to compare with: transformers' Trainer on sentences.

Batches of 8 sentences padded to the longest, a label on every wordpiece with B- turned into I- on
continuations, special tokens ignored, three epochs, linear decay, argmax
(https://huggingface.co/learn/llm-course/chapter7/2).
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import transformers
from seqeval.metrics import f1_score

from conll import Sentence, encode_iob2, read_corpus

BATCH_SIZE = 8
WEIGHT_DECAY = 0.01
IGNORED = -100  # the label that torch's cross-entropy skips
Encoded = dict[str, list[int]]


def read_sentences(path: Path) -> list[Sentence]:
    return [sentence for document in read_corpus(path).documents for sentence in document.sentences]


def label_names(sentences: Sequence[Sentence]) -> list[str]:
    """RETURNS (list[str]): O, then B- and I- of each type, types sorted."""
    types = sorted({mention.type for sentence in sentences for mention in sentence.mentions})
    return ["O", *(f"{prefix}-{type_}" for type_ in types for prefix in "BI")]


def align_labels(word_ids: Sequence[int | None], labels: Sequence[str]) -> list[str | None]:
    """Spread the labels of words over their wordpieces.

    word_ids (Sequence[int | None]): Each wordpiece's word; None for a special token.
    labels (Sequence[str]): Each word's label in IOB2.
    RETURNS (list[str | None]): Each wordpiece's label; None for a special token.
    """
    aligned: list[str | None] = []
    previous = None
    for word in word_ids:
        if word is None:
            aligned.append(None)
        elif word == previous and labels[word].startswith("B-"):
            aligned.append(f"I-{labels[word][2:]}")
        else:
            aligned.append(labels[word])
        previous = word
    return aligned


def encode(sentence: Sentence, tokenizer: Any, label_ids: dict[str, int]) -> Encoded:
    """RETURNS (Encoded): The model's inputs, `labels`, and `first`: 1 where a word begins."""
    encoding = tokenizer(sentence.words, is_split_into_words=True, truncation=True)
    word_ids = encoding.word_ids()
    aligned = align_labels(word_ids, encode_iob2(len(sentence.words), sentence.mentions))
    before = [None, *word_ids[:-1]]
    return {
        "input_ids": encoding["input_ids"],
        "attention_mask": encoding["attention_mask"],
        "labels": [IGNORED if label is None else label_ids[label] for label in aligned],
        "first": [int(w is not None and w != b) for w, b in zip(word_ids, before, strict=True)],
    }


def f1_scores(
    predicted: numpy.ndarray, encoded: Sequence[Encoded], names: Sequence[str]
) -> dict[str, float]:
    """Score by wordpieces, as the recipe does, and by words: a word's label is its first
    wordpiece's.

    predicted (numpy.ndarray): Label ids, shape (sentences, padded wordpieces).
    RETURNS (dict[str, float]): `wordpiece_f1` and `word_f1`, by seqeval's default mode.
    """
    by_wordpiece: tuple[list[list[str]], list[list[str]]] = ([], [])
    by_word: tuple[list[list[str]], list[list[str]]] = ([], [])
    for row, sentence in zip(predicted, encoded, strict=True):
        gold = numpy.array(sentence["labels"])
        for (golds, predictions), chosen in (
            (by_wordpiece, gold != IGNORED),
            (by_word, numpy.array(sentence["first"]) == 1),
        ):
            golds.append([names[i] for i in gold[chosen]])
            predictions.append([names[i] for i in row[: len(gold)][chosen]])
    return {"wordpiece_f1": f1_score(*by_wordpiece), "word_f1": f1_score(*by_word)}


class EpochTimer(transformers.TrainerCallback):  # type: ignore[misc]
    """Takes the seconds that each epoch trained, and the dev scores after it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.training = 0.0  # seconds in training so far, evaluation not counted
        self.start = self.epoch_start = time.perf_counter()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.epoch_start = time.perf_counter()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.training += time.perf_counter() - self.epoch_start

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        row = {
            "epoch": round(state.epoch),
            "step": state.global_step,
            "seconds": round(time.perf_counter() - self.start, 3),
            "training_seconds": round(self.training, 3),
            "word_f1": kwargs["metrics"]["eval_word_f1"],
            "wordpiece_f1": kwargs["metrics"]["eval_wordpiece_f1"],
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def train(
    corpus: Path,
    backbone: Path,
    output: Path,
    *,
    learn_rate: float,
    epochs: int,
    seed: int,
) -> dict[str, float]:
    """Train, and save the last model in `output`, with log.jsonl beside it.

    corpus (Path): A folder with train.txt, valid.txt and test.txt.
    RETURNS (dict[str, float]): F1 on test, by word and by wordpiece.
    """
    splits = {name: read_sentences(corpus / f"{name}.txt") for name in ("train", "valid", "test")}
    names = label_names(splits["train"])
    label_ids = {name: i for i, name in enumerate(names)}
    tokenizer = transformers.AutoTokenizer.from_pretrained(backbone, add_prefix_space=True)
    encoded = {
        name: [encode(sentence, tokenizer, label_ids) for sentence in sentences]
        for name, sentences in splits.items()
    }
    transformers.set_seed(seed)
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        backbone, id2label=dict(enumerate(names)), label2id=label_ids
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(output),
        per_device_train_batch_size=BATCH_SIZE,
        per_device_eval_batch_size=BATCH_SIZE,
        learning_rate=learn_rate,
        num_train_epochs=epochs,
        weight_decay=WEIGHT_DECAY,
        eval_strategy="epoch",
        save_strategy="no",
        report_to=[],
        seed=seed,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    current = encoded["valid"]  # the sentences that compute_metrics is asked about
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=encoded["train"],
        eval_dataset=encoded["valid"],
        data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
        compute_metrics=lambda output: f1_scores(output.predictions, current, names),
        preprocess_logits_for_metrics=lambda logits, _: logits.argmax(-1),
        callbacks=[EpochTimer(output / "log.jsonl")],
    )
    trainer.train()
    current = encoded["test"]
    metrics = trainer.predict(encoded["test"]).metrics
    trainer.save_model(output / "model")
    tokenizer.save_pretrained(output / "model")
    return {name: metrics[f"test_{name}"] for name in ("word_f1", "wordpiece_f1")}
