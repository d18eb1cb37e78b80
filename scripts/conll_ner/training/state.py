"""The state of a training after an evaluation, from which it can be resumed."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy
import torch
from spacy.language import Language
from thinc.api import Model, Optimizer
from thinc.shims import Shim

from conll_ner.common.console import InputError
from conll_ner.common.files import atomic_write

STATE = "state.pt"
Evaluation = tuple[float, dict[str, Any]]  # the score that is compared, and all scores


class State(NamedTuple):
    """What is needed to resume.

    run (dict[str, Any]): The record of the training, which must be the same.
    step (int): The last step.
    evaluations (list[Evaluation]): All so far.
    tensors (dict[str, Any]): `weights`, `moments` and `random`.
    """

    run: dict[str, Any]
    step: int
    evaluations: list[Evaluation]
    tensors: dict[str, Any]


def save_state(
    folder: Path,
    nlp: Language,
    optimizer: Optimizer,
    run: dict[str, Any],
    step: int,
    evaluations: list[Evaluation],
) -> None:
    """Write the state to the folder. It replaces the one before."""
    tensors = {
        "weights": get_weights(nlp),
        "moments": get_moments(nlp, optimizer),
        "random": get_random(),
    }
    with atomic_write(folder / STATE) as temporary:
        facts = json.dumps({"run": run, "step": step, "evaluations": evaluations})
        torch.save({"facts": facts, "tensors": tensors}, temporary)


def load_state(folder: Path, run: dict[str, Any], *, strict: bool) -> State | None:
    """Load the state of an interrupted training.

    run (dict[str, Any]): The record of the training that resumes it. All but the hardware must be
        the same.
    strict (bool): Whether another training is an error instead of no state.
    RETURNS (State | None): The state in the folder; None if there is none.
    RAISES (InputError): If it is of another training, and `strict`.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    saved = torch.load(path, map_location="cpu", weights_only=True)
    state = State(**json.loads(saved["facts"]), tensors=saved["tensors"])
    changed = [name for name in run if name != "hardware" and run[name] != state.run.get(name)]
    if changed and strict:
        raise InputError(
            f"{folder} is of a training with another {', '.join(changed)}; omit --resume to start "
            "over"
        )
    return None if changed else state


def restore_state(state: State, nlp: Language, optimizer: Optimizer) -> None:
    """Set weights, moments and random states. The state's tensors are then dropped: whoever still
    has the state would keep a second copy of the weights in memory."""
    set_weights(nlp, state.tensors["weights"])
    set_moments(nlp, optimizer, state.tensors["moments"])
    set_random(state.tensors["random"])
    state.tensors.clear()


def list_nodes(nlp: Language) -> Iterator[Model[Any, Any]]:
    """YIELDS (Model): The nodes of the models of all components, in the same order in every
    process, unlike their ids."""
    for _, component in nlp.pipeline:
        model = getattr(component, "model", None)
        if isinstance(model, Model):
            yield from model.walk()


def list_shims(nlp: Language) -> Iterator[Shim]:
    for node in list_nodes(nlp):
        yield from node.shims


def get_weights(nlp: Language) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The weights of thinc's nodes and of torch's models, not copied on a
    CPU."""
    nodes = [
        {name: to_tensor(node, node.get_param(name)) for name in own_params(node)}
        for node in list_nodes(nlp)
    ]
    return {"nodes": nodes, "shims": [shim._model.state_dict() for shim in list_shims(nlp)]}


def set_weights(nlp: Language, weights: dict[str, Any]) -> None:
    for node, params in zip(list_nodes(nlp), weights["nodes"], strict=True):
        for name, value in params.items():
            node.set_param(name, to_array(node, value))
    for shim, state in zip(list_shims(nlp), weights["shims"], strict=True):
        shim._model.load_state_dict(state)


def own_params(node: Model[Any, Any]) -> list[str]:
    return [name for name in node.param_names if node.has_param(name)]


def to_tensor(node: Model[Any, Any], values: Any) -> torch.Tensor:
    return torch.from_numpy(node.ops.to_numpy(values))


def to_array(node: Model[Any, Any], values: torch.Tensor) -> Any:
    """RETURNS (ndarray | cupy.ndarray): The values, on the node's device."""
    return node.ops.asarray(cast(Any, values.numpy()))


def list_parts(nlp: Language) -> list[Any]:
    """RETURNS (list[Model | Shim]): Everything whose id can be in a key of thinc's optimizer."""
    return [*list_nodes(nlp), *list_shims(nlp)]


def get_moments(nlp: Language, optimizer: Optimizer) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The state of thinc's optimizer, by the place of the node or shim
    instead of its id, and of torch's optimizers."""
    places = {part.id: i for i, part in enumerate(list_parts(nlp))}
    some_node = next(list_nodes(nlp))

    def by_place(values: dict[tuple[int, str], Any] | None) -> dict[tuple[int, str], Any]:
        return {(places[id_], name): value for (id_, name), value in (values or {}).items()}

    arrays = {
        name: {
            key: to_tensor(some_node, value)
            for key, value in by_place(getattr(optimizer, name)).items()
        }
        for name in ("mom1", "mom2", "averages")
    }
    numbers = {name: by_place(getattr(optimizer, name)) for name in ("nr_update", "last_seen")}
    return {
        "arrays": arrays,
        "numbers": numbers,
        "shims": [adam and adam.state_dict() for adam in map(torch_optimizer, list_shims(nlp))],
    }


def set_moments(nlp: Language, optimizer: Optimizer, moments: dict[str, Any]) -> None:
    ids = [part.id for part in list_parts(nlp)]
    some_node = next(list_nodes(nlp))
    for name, values in moments["arrays"].items():
        if values:
            getattr(optimizer, name).update(
                {(ids[i], key): to_array(some_node, value) for (i, key), value in values.items()}
            )
    for name, values in moments["numbers"].items():
        getattr(optimizer, name).update({(ids[i], key): n for (i, key), n in values.items()})
    shims: Iterator[Any] = list_shims(nlp)
    for shim, state in zip(shims, moments["shims"], strict=True):
        if state is not None:
            shim.make_optimizer(optimizer).load_state_dict(state)


def torch_optimizer(shim: Shim) -> torch.optim.Optimizer | None:
    """RETURNS (Optimizer | None): That of a shim with one of its own (`token_ner`'s AdamWShim)."""
    return getattr(shim, "_optimizer", None)


def get_random() -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The states of the random generators of Python, NumPy and torch.
    CuPy's can't be read."""
    kind, keys, *rest = cast(tuple[Any, ...], numpy.random.get_state(legacy=True))
    return {
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    numpy.random.set_state((kind, numpy.array(keys, dtype="uint32"), *rest))
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
