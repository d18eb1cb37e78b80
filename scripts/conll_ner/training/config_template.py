"""The complete config of `token_ner`, for a language, a backbone and documents."""

from pathlib import Path

from confection import Config
from jinja2 import Environment, PackageLoader, StrictUndefined

from conll_ner.training.backbone_defaults import (
    CASE_FACTOR,
    DEFAULTS,
    LEARN_RATE,
    WINDOW,
    WORDS_ON_CPU,
    WORDS_ON_GPU,
    backbone_size,
)
from conll_ner.training.config import check_mentions
from conll_ner.training.planning import plan_steps

TEMPLATE = "token_ner.cfg.jinja"
EPOCHS = 3


def render_config(
    lang: str = "en",
    backbone: str = "",
    train: Path | None = None,
    dev: Path | None = None,
    epochs: int = EPOCHS,
    *,
    gpu: bool = False,
) -> str:
    """RETURNS (str): The config, with a comment on every chosen number. Without a backbone, its
        settings are those of BERT-base's size.
    RAISES (InputError): If the backbone has no config, or the documents can't be read or have no
        mention.
    """
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    defaults = DEFAULTS[backbone_size(backbone) if backbone else "base"]
    values = {
        "lang": lang,
        "backbone": backbone or None,
        "train": train and str(train),
        "dev": dev and str(dev),
        "epochs": epochs,
        "learn_rate": f"{defaults[LEARN_RATE]:.10f}".rstrip("0"),
        "window": defaults[WINDOW],
        "case_learn_rate_factor": defaults[CASE_FACTOR],
        "batch_words": WORDS_ON_GPU if gpu else WORDS_ON_CPU,
        "is_planned": False,
    }
    template = environment.get_template(TEMPLATE)
    text = template.render(values)
    if train is None:
        return text
    paths = {"paths.dev": str(dev or train)}  # spaCy opens both, and plans by train
    config = Config().from_str(text, interpolate=False, overrides=paths)
    check_mentions(config)
    planned = plan_steps(config)["training"]
    steps = {name: planned[name] for name in ("max_steps", "eval_frequency")}
    warmup = planned["optimizer"]["learn_rate"]["warmup_steps"]
    return template.render(values | steps | {"warmup_steps": warmup, "is_planned": True})
