"""Training settings that follow the backbone or the device: the value "auto" of an option."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from confection import Config
from spacy.util import dot_to_object

from conll_ner.common.console import InputError
from conll_ner.common.files import read_json
from conll_ner.common.hub import hub_errors, is_hub_id
from conll_ner.data.fetching.origins import go_offline_without_hub

AUTO = "auto"
BACKBONE = "paths.backbone"
SMALL = 512  # models with narrower hidden states are small
LEARN_RATE = "training.optimizer.learn_rate.initial_rate"
WINDOW = "components.transformer.model.window"
CASE_FACTOR = "components.transformer.model.case_learn_rate_factor"
BATCH_WORDPIECES = "components.transformer.model.batch_wordpieces"
BATCH_WORDS = "training.batcher.size"
# Larger batches keep a GPU busier and make fewer updates: 1,000 words cost F1
# (docs/results/experiments.md).
WORDS_ON_CPU, WORDS_ON_GPU = 500, 750
# Measured with all-MiniLM-L6-v2 (width 384) and all-mpnet-base-v2 (768)
# (docs/results/experiments.md).
DEFAULTS: dict[str, dict[str, Any]] = {
    # The transformer itself resolves BATCH_WORDPIECES, by the device.
    "small": {LEARN_RATE: 2e-4, WINDOW: 128, CASE_FACTOR: 1.0, BATCH_WORDPIECES: AUTO},
    "base": {LEARN_RATE: 5e-5, WINDOW: None, CASE_FACTOR: 40.0, BATCH_WORDPIECES: AUTO},
}


def backbone_size(backbone: str | Path) -> str:
    """RETURNS (str): "small" or "base", by the config.json in a folder, or of a hub id.
    RAISES (InputError): If there is none."""
    folder = Path(backbone)
    if is_hub_id(str(backbone), with_owner=False):
        folder = download_config(str(backbone)).parent
    config = read_json(folder / "config.json", "fetch the backbone")
    # DistilBERT and Funnel call the width dim and d_model; it is base size if unknown.
    widths = [config.get(name) for name in ("hidden_size", "dim", "d_model")]
    width = next((w for w in widths if isinstance(w, int)), SMALL)
    return "small" if width < SMALL else "base"


def download_config(name: str) -> Path:
    """RETURNS (Path): The config.json of a model on the hub, in the cache.
    RAISES (InputError): If it can't be had."""
    go_offline_without_hub()
    from huggingface_hub import hf_hub_download

    with hub_errors(f"the backbone {name} is no folder, and not had from the hub"):
        return Path(hf_hub_download(name, "config.json"))


def resolve_auto(config_path: Path, overrides: dict[str, Any], gpu: int) -> dict[str, Any]:
    """Replace the value "auto" of options by the default for the backbone's size and the device.

    config_path (Path): The config that the options override. Settings that it doesn't have, such as
        a window in another architecture, are left out.
    overrides (dict[str, Any]): Options by their dotted names.
    gpu (int): spaCy's GPU id: -1 for the CPU.
    RETURNS (dict[str, Any]): The options with values.
    RAISES (InputError): If "auto" is given for a setting that has no such default.
    """
    if AUTO not in overrides.values():
        return overrides
    config = Config().from_disk(config_path, interpolate=False)
    backbone = overrides.get(BACKBONE) or config.get("paths", {}).get("backbone")
    if backbone is None:
        raise InputError(f"{config_path}: paths.backbone is not set; give --{BACKBONE} PATH")
    defaults = DEFAULTS[backbone_size(backbone)]
    defaults = defaults | {BATCH_WORDS: WORDS_ON_CPU if gpu < 0 else WORDS_ON_GPU}
    result = {}
    for name, value in overrides.items():
        if value != AUTO:
            result[name] = value
            continue
        if name not in defaults:
            raise InputError(f"--{name} auto: only {', '.join(defaults)} can be auto")
        with suppress(KeyError):  # the config doesn't have this setting
            dot_to_object(config, name)
            result[name] = defaults[name]
    return result


def parse_learn_rate(text: str, backbone: Path) -> float:
    """RETURNS (float): A learning rate; for "auto" the default for the backbone's size.
    RAISES (InputError): If it is neither "auto" nor a positive number."""
    if text == AUTO:
        return float(DEFAULTS[backbone_size(backbone)][LEARN_RATE])
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1:
        raise InputError(f"learning rate {text} is neither auto nor a number between 0 and 1")
    return rate
