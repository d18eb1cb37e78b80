"""Make the component known to spaCy: the factory, the architectures, and `ent._.score`.

A process can hold several copies of this package: every model wheel carries one, `conll-ner` may
be installed, and a checkout may be on the path. One rule covers everything that is registered:

- A copy registers all of it or nothing, so a component never runs with another copy's models.
  There is one exception: a slim wheel has no architectures that need torch. If its copy is the
  newest, these are another copy's.
- The newest copy is used. Of copies with the same version, the first one stays.
- spaCy looks for architectures among the entry points first. So where `conll-ner` is installed,
  copies in wheels register nothing, and `conll-ner` must be at least as new as they are.

For this to be safe, the behaviour behind a published name never changes. A changed architecture
gets a new suffix (`conll_ner.TokenClassifier.v2`) and the old one stays.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from packaging.version import Version
from spacy.language import Language
from spacy.tokens import Span
from spacy.util import registry

from .about import __version__
from .checks import has_own_score
from .factory import DEFAULT_CONFIG, SCORE_WEIGHTS, make_token_ner
from .onnx_model.onnx_classifier import build_onnx_token_classifier
from .span_scores import refuse_score, span_score
from .tokenizer import create_linear_tokenizer
from .training.augmentation import create_text_augmenter
from .training.shuffled_corpus import create_shuffled_corpus
from .training.start_from import create_start_from

FACTORY = "token_ner"
BACKBONE = "conll_ner.WindowedTransformer.v1"


def register() -> None:
    """Register this copy, unless one that is at least as new is registered or installed.

    RAISES (ImportError): If `conll-ner` is installed and older than this copy.
    """
    installed = find_installed()
    if installed is not None and not is_own(installed):
        check_version(installed)
        return
    if Version(registered_version()) >= Version(__version__):
        if has_torch_half() and BACKBONE not in registry.architectures:
            register_architectures()
        return
    make_token_ner.version = __version__  # type: ignore[attr-defined]
    # Language.factory refuses to replace another function, but accepts the one that is there.
    registry.factories.register(FACTORY, func=make_token_ner)
    Language.factory(
        FACTORY,
        assigns=["doc.ents", "token.ent_iob", "token.ent_type", "span._.score"],
        default_config=DEFAULT_CONFIG,
        default_score_weights=SCORE_WEIGHTS,
        func=make_token_ner,
    )
    register_score()
    if installed is not None:
        return  # spaCy imports what an entry point names when it is used: torch takes seconds
    register_architectures()
    registry.augmenters.register("conll_ner.augment_text.v1", func=create_text_augmenter)
    registry.readers.register("conll_ner.shuffled_corpus.v1", func=create_shuffled_corpus)
    registry.callbacks.register("conll_ner.start_from.v1", func=create_start_from)
    registry.tokenizers.register("conll_ner.Tokenizer.v1", func=create_linear_tokenizer)


def register_architectures() -> None:
    for name, build in architectures().items():
        registry.architectures.register(name, func=build)


def has_torch_half() -> bool:
    """RETURNS (bool): Whether this copy has the architectures that need torch, which a slim wheel's
    lacks, and spacy-transformers, which they import, is installed."""
    has_half = find_spec(".torch_model", __package__) is not None
    return has_half and find_spec("spacy_transformers") is not None


def architectures() -> dict[str, Callable[..., Any]]:
    """RETURNS (dict[str, Callable]): The architectures by name: without the torch half, only the
    one of slim pipelines."""
    slim = {"conll_ner.OnnxTokenClassifier.v1": build_onnx_token_classifier}
    if not has_torch_half():
        return slim
    from .torch_model.backbone import build_first_wordpiece_transformer, build_windowed_transformer
    from .torch_model.head import build_first_wordpiece, build_token_classifier

    return slim | {
        BACKBONE: build_windowed_transformer,
        "conll_ner.FirstWordpieceTransformer.v1": build_first_wordpiece_transformer,
        "conll_ner.TokenClassifier.v1": build_token_classifier,
        "conll_ner.FirstWordpiece.v1": build_first_wordpiece,
    }


def register_score() -> None:
    """Add `ent._.score`, unless someone else defined an extension of that name: the component then
    warns."""
    if has_own_score() or not Span.has_extension("score"):
        Span.set_extension("score", getter=span_score, setter=refuse_score, force=True)


def find_installed() -> EntryPoint | None:
    """RETURNS (EntryPoint | None): The factory's, where `conll-ner` is installed: spaCy looks there
    first."""
    found = next(iter(entry_points(group="spacy_factories", name=FACTORY)), None)
    return found if found is not None and (is_own(found) or found.dist is not None) else None


def is_own(entry_point: EntryPoint) -> bool:
    """RETURNS (bool): Whether an entry point leads to this copy."""
    return entry_point.module.partition(".")[0] == __name__.rpartition(".")[0]


def check_version(installed: EntryPoint) -> None:
    """RAISES (ImportError): If the installed copy is older than this one."""
    assert installed.dist is not None  # of `find_installed`, unless it is this copy's
    name, version = installed.dist.metadata["Name"], installed.dist.version
    if Version(version) < Version(__version__):
        package = __name__.rpartition(".")[0]
        raise ImportError(
            f"{package} needs {name} {__version__} or newer, but {version} is installed: "
            f"upgrade it (pip install -U {name}) or uninstall it (pip uninstall {name})"
        )


def registered_version() -> str:
    """RETURNS (str): The version of the copy that is registered; "0" if there is none."""
    return str(getattr(registry.factories.get_all().get(FACTORY), "version", "0"))
