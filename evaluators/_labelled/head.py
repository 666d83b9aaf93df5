"""A task's own head on the live model's body, for members whose classes are not the base's."""

from __future__ import annotations

from typing import Any

from ...errors import InputError
from ...plugins import call_user
from .._digest import digest
from .._quiet import without_bars
from .._scoring import device_of, undisturbed


class Head:
    """What a classifier of transformers has beyond its body; the body is borrowed from the model that is scored.

    Attributes:
        config: the classifier's.
    """

    def __init__(self, what: str, kind: str, path: str, model: Any) -> None:
        """Load the classifier, in the live model's dtype and on its device.

        Args:
            what: whose head it is, for messages.
            kind: name of transformers' class that opens it.
            path: folder or hub name, such as a member's.
            model: the live model.

        Raises:
            InputError: no such classifier, one without weights for its head, or with another body than the live model.
        """
        with undisturbed(), without_bars():  # what the files lack is drawn at random
            network, missing = call_user(
                f"{what}: loading the head of '{path}'", _load, kind=kind, path=path, model=model
            )
        body = f"{network.base_model_prefix}."
        missing = sorted(name for name in missing if not name.startswith(body))
        own, theirs = (type(getattr(one, "base_model", one)).__name__ for one in (network, model))
        if own != theirs:
            raise InputError(
                f"{what}: the head of '{path}' stands on {own}, and the live model is {theirs}; give another"
            )
        if missing:
            raise InputError(f"{what}: '{path}' lacks {missing[0]}; give a classifier that was trained")
        self._network = network.to(device_of(model)).eval().requires_grad_(False)
        self.config = network.config
        tensors = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(body)}
        self.fingerprint = digest(tensors)
        self.on(model)  # its own body goes

    def on(self, model: Any) -> Any:
        """The classifier with the body of `model`, which is left as it is."""
        setattr(self._network, self._network.base_model_prefix, model.base_model)
        return self._network


def _load(kind: str, path: str, model: Any) -> tuple[Any, list[str]]:
    """The classifier, and the names of tensors that its files lack."""
    import transformers

    network, report = getattr(transformers, kind).from_pretrained(path, dtype=model.dtype, output_loading_info=True)
    return network, list(report["missing_keys"])
