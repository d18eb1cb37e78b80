"""Write a complete config for a project of one's own."""

from pathlib import Path
from typing import Annotated

import typer
from confection import Config
from jinja2 import Environment, PackageLoader, StrictUndefined

from conll_ner.common.command import READS, Writes, command
from conll_ner.common.console import msg
from conll_ner.common.files import atomic_write
from conll_ner.common.languages import blank_pipeline
from conll_ner.training.backbone_defaults import (
    CASE_FACTOR,
    DEFAULTS,
    LEARN_RATE,
    WINDOW,
    WORDS_ON_CPU,
    WORDS_ON_GPU,
    backbone_size,
)
from conll_ner.training.planning import plan_steps

TEMPLATE = "token_ner.cfg.jinja"
EPOCHS = 3


@command
def main(
    output: Annotated[Path, typer.Argument(help="Config file"), Writes()],
    lang: Annotated[str, typer.Option(help="spaCy's code of the language")] = "en",
    backbone: Annotated[str, typer.Option(help="Folder or hub id of the backbone"), READS] = "",
    train: Annotated[Path | None, typer.Option(help="Training documents (.spacy)")] = None,
    dev: Annotated[Path | None, typer.Option(help="Documents to evaluate on (.spacy)")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of training")] = EPOCHS,
    gpu: Annotated[bool, typer.Option("--gpu", help="Larger batches, for a GPU")] = False,
) -> None:
    """Write a complete config of `token_ner`, as `spacy init config` does for spaCy's components.
    Learning rate and window follow the backbone's size. With --train, the schedule of the learning
    rate and the evaluations are planned for these documents, so that plain `spacy train` trains as
    spacy ner train does."""
    blank_pipeline(lang)
    text = render_config(lang, backbone, train, dev, epochs, gpu=gpu)
    with atomic_write(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    given = {"train": train, "dev": dev, "backbone": backbone}
    missing = "".join(f" --paths.{name} …" for name, value in given.items() if not value)
    msg.good(f"{output}: train with python -m spacy train {output} --output OUTPUT{missing}")


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
    RAISES (InputError): If the backbone has no config, or the training documents can't be read.
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
    planned = plan_steps(Config().from_str(text, interpolate=False))["training"]
    steps = {name: planned[name] for name in ("max_steps", "eval_frequency")}
    warmup = planned["optimizer"]["learn_rate"]["warmup_steps"]
    return template.render(values | steps | {"warmup_steps": warmup, "is_planned": True})
