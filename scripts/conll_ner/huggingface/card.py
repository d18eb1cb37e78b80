"""The metadata of a model card on the hub, from a pipeline's meta.json."""

import re
from collections.abc import Iterator
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

HUB = "https://huggingface.co/"
METRICS = {"p": "precision", "r": "recall", "f": "f1"}
TASK = "token-classification"


def hub_metadata(meta: dict[str, Any]) -> ModelCardData:
    """RETURNS (ModelCardData): Language, license, base model and tags, and the scores as
    `model-index` (https://huggingface.co/docs/hub/model-cards). meta: the pipeline's, with scores
    and sources as of `package`, or the scores of spaCy's training."""
    sources = meta.get("sources") or []
    urls = [source.get("url", "") for source in sources]
    base = [url.removeprefix(HUB) for url in urls if url.startswith(HUB)]
    corpus = sources[-1]["name"].partition(" (")[0] if sources else "unknown"
    results = list(list_results(meta, corpus))
    return ModelCardData(
        language="multilingual" if meta["lang"] == "xx" else meta["lang"],
        license=re.sub(r"\s+", "-", meta.get("license") or "").lower() or None,
        library_name="spacy",
        pipeline_tag=TASK,
        tags=["spacy", TASK],
        base_model=base[0] if base else None,
        model_name=f"{meta['lang']}_{meta['name']}" if results else None,
        eval_results=results or None,
    )


def list_results(meta: dict[str, Any], corpus: str) -> Iterator[EvalResult]:
    """YIELDS (EvalResult): Precision, recall and F1 on each split, or what spaCy measured on the
    dev corpus of the training. corpus: its name."""
    scores = meta.get("performance") or {}
    splits = {
        name: row
        for name, row in scores.items()
        if isinstance(row, dict) and row.keys() == METRICS.keys()
    }
    if not splits and scores.get("ents_f") is not None:
        splits = {"dev": {key: scores[f"ents_{key}"] for key in METRICS}}
    for split, row in splits.items():
        for key, metric in METRICS.items():
            yield EvalResult(
                task_type=TASK,
                task_name="Named-entity recognition",
                dataset_type=re.sub(r"\W+", "-", corpus.lower()).strip("-"),
                dataset_name=corpus,
                dataset_split=split,
                metric_type=metric,
                metric_name=f"NER {'F Score' if key == 'f' else metric.title()}",
                metric_value=row[key],
            )
