"""Where one tensor stands in the model: what every grouping goes by."""

from __future__ import annotations

from dataclasses import dataclass

# Names of groups that a mean-constrained space leaves where they are, and where that is.
HELD = {f"held at the {where}": where for where in ("base", "member", "mean")}


@dataclass(frozen=True)
class TensorPlace:
    """Where one tensor stands in the model.

    Attributes:
        name: its key in the state dict.
        size: number of elements.
        layer: running index over all module lists of the model; None outside of layers.
        depth: 0 for tensors before the first layer, i/(L-1) for layer i of L, 1 for tensors after the last.
        kind: type of the module that owns it, such as self_attn, mlp, norm, embed_tokens.
    """

    name: str
    size: int
    layer: int | None
    depth: float
    kind: str

    @property
    def layer_name(self) -> str:
        """Its layer, or "input" and "output" for what comes before and after the layers."""
        if self.layer is not None:
            return f"layer {self.layer}"
        return "input" if self.depth < 0.5 else "output"
