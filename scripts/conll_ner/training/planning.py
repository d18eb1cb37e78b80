"""Plan a training of whole epochs as a number of steps, whose last one is evaluated."""

import spacy
from confection import Config
from spacy.util import dot_to_object, registry, resolve_dot_names
from thinc.api import fix_random_seed

WARMUP_FRACTION = 0.1  # of all steps; warmup_proportion in google-research/bert
SHUFFLED_CORPUS = "conll_ner.shuffled_corpus.v1"


def count_batches(config: Config) -> int:
    """RETURNS (int): The number of batches per epoch. It is approximate: every epoch has its own
    order of documents, which can change it by a few."""
    resolved = config.interpolate()
    fix_random_seed(resolved["training"]["seed"])  # the same order in every run
    nlp = spacy.blank(resolved["nlp"]["lang"])
    (corpus,) = resolve_dot_names(resolved, [resolved["training"]["train_corpus"]])
    batcher = registry.resolve({"batcher": resolved["training"]["batcher"]})["batcher"]
    return sum(1 for _ in batcher(corpus(nlp)))


def plan_steps(config: Config) -> Config:
    """Replace `max_epochs` by a number of steps, and set the warm-up and the evaluation frequency.

    With `max_epochs`, spaCy may stop long after the last evaluation. With a fixed number of steps,
    the last step is evaluated, when the learning rate has decayed to 0.

    RETURNS (Config): A changed copy. If `max_epochs` is 0, `max_steps` and `eval_frequency` are
        used as they are.
    """
    config = config.copy()
    training = config["training"]
    if training["max_epochs"] <= 0:
        return config
    per_epoch = count_batches(config)
    evaluations = training["max_epochs"] * max(1, round(per_epoch / training["eval_frequency"]))
    frequency = max(1, round(training["max_epochs"] * per_epoch / evaluations))
    total = frequency * evaluations
    training |= {"max_epochs": 0, "max_steps": total, "eval_frequency": frequency}
    learn_rate = training["optimizer"]["learn_rate"]
    if isinstance(learn_rate, dict) and "total_steps" in learn_rate:
        learn_rate |= {"total_steps": total, "warmup_steps": round(WARMUP_FRACTION * total)}
    return config


def is_read_again(config: Config) -> bool:
    """RETURNS (bool): Whether the training corpus is read again in every epoch, with new draws of
    its augmenter: a shuffled corpus in a training of a number of steps."""
    resolved = config.interpolate()
    corpus = dot_to_object(resolved, resolved["training"]["train_corpus"])
    by_steps = resolved["training"]["max_epochs"] == 0
    return by_steps and bool(corpus.get("@readers") == SHUFFLED_CORPUS)
