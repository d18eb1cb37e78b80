"""The Hugging Face course's recipe as a baseline: transformers' Trainer on sentences.

Batches have 8 sentences, padded to the longest. Every wordpiece has a label; on continuations, B-
becomes I-; special tokens are ignored. Three epochs, linear decay, argmax decoding
(https://huggingface.co/learn/llm-course/chapter7/2).
"""

import time
from pathlib import Path
from typing import Any

import transformers

from conll_ner.common.hf_loading import load_model
from conll_ner.common.training_log import LogRow, append_row
from conll_ner.data.wordpiece_labels import (
    encode,
    label_names,
    mention_types,
    read_sentences,
    score,
)

BATCH_SIZE = 8
WEIGHT_DECAY = 0.01


class EpochTimer(transformers.TrainerCallback):  # type: ignore[misc]
    """Logs the training seconds and dev scores of every epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.training = 0.0  # training seconds so far, without evaluation
        self.start = self.epoch_start = time.perf_counter()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.epoch_start = time.perf_counter()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.training += time.perf_counter() - self.epoch_start

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        scores = {name: kwargs["metrics"][f"eval_{name}"] for name in ("word_f1", "wordpiece_f1")}
        row = LogRow(
            epoch=round(state.epoch),
            step=state.global_step,
            seconds=round(time.perf_counter() - self.start, 3),
            training_seconds=round(self.training, 3),
            loss=None,
            f1=scores["word_f1"],
            scores=scores,
        )
        append_row(self.path, row)


def make_arguments(
    output: Path, *, learn_rate: float, epochs: int, seed: int, gpu: int, bfloat16: bool
) -> transformers.TrainingArguments:
    """RETURNS (TrainingArguments): The settings of the recipe."""
    return transformers.TrainingArguments(
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
        use_cpu=gpu < 0,
        bf16=bfloat16,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def train(
    corpus: Path, backbone: Path, output: Path, arguments: transformers.TrainingArguments
) -> dict[str, float]:
    """Train, and write log.jsonl and the last model, model/, to `output`.

    corpus (Path): A folder with train.txt, valid.txt and test.txt.
    arguments (TrainingArguments): As returned by `make_arguments`.
    RETURNS (dict[str, float]): F1 on test, by word and by wordpiece.
    """
    splits = {name: read_sentences(corpus / f"{name}.txt") for name in ("train", "valid", "test")}
    names = label_names(mention_types(splits["train"]))
    label_ids = {name: i for i, name in enumerate(names)}
    tokenizer = transformers.AutoTokenizer.from_pretrained(backbone, add_prefix_space=True)
    encoded = {
        name: [encode(sentence, tokenizer, label_ids) for sentence in sentences]
        for name, sentences in splits.items()
    }
    transformers.set_seed(arguments.seed)
    kind = transformers.AutoModelForTokenClassification
    model = load_model(kind, backbone, id2label=dict(enumerate(names)), label2id=label_ids)
    current = encoded["valid"]  # the sentences that compute_metrics scores
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=encoded["train"],
        eval_dataset=encoded["valid"],
        data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
        compute_metrics=lambda output: score(output.predictions, current, names),
        preprocess_logits_for_metrics=lambda logits, _: logits.argmax(-1),
        callbacks=[EpochTimer(output / "log.jsonl")],
    )
    trainer.train()
    current = encoded["test"]
    metrics = trainer.predict(encoded["test"]).metrics
    trainer.save_model(output / "model")
    tokenizer.save_pretrained(output / "model")
    return {name: metrics[f"test_{name}"] for name in ("word_f1", "wordpiece_f1")}
