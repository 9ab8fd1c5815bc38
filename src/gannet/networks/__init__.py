"""The networks that a game plays with when it brings none of its own: one family a file, sized by one dial.

Call `default_pair(spec, size=1, latent=64)`; `families()` names the choices.
Generator: latent [n, latent], condition [n, condition width] or None -> samples [n, *spec.shape].
Discriminator: samples, condition -> logits [n].
"""

from __future__ import annotations

from math import isfinite

from torch import nn

from gannet.errors import GannetError, did_you_mean
from gannet.networks.convnets import convnet_pair
from gannet.networks.dcgan import dcgan_pair
from gannet.networks.layers import parameter_count
from gannet.networks.mlp import mlp_pair
from gannet.networks.sequence import sequence_pair
from gannet.spec import Spec

__all__ = ["default_pair", "families", "parameter_count"]

_FAMILIES = {
    "mlp": "residual perceptrons for flat data: points and rows of a table",
    "convnets": "R3GAN-style residual convolutions for pictures of any size (Huang et al. 2024)",
    "sequence": "residual perceptrons for series with attributes, lengths and categories (cf. Lin et al. 2020)",
    "dcgan": "strided convolutions with batch normalisation for pictures of any size (Radford et al. 2016)",
}
_AXES = {"mlp": 1, "sequence": 2, "convnets": 3, "dcgan": 3}
_DATA = {1: "flat data", 2: "series", 3: "pictures"}


def families() -> dict[str, str]:
    """The families by name, with one line each."""
    return dict(_FAMILIES)


def default_pair(
    spec: Spec, *, size: float, latent: int, family: str | None = None, normalise: bool = True
) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator for data of this spec, freshly drawn from torch's global generator.

    `family` None takes `mlp` for flat data, `sequence` for series and `convnets` for pictures. `normalise=False` leaves
    batch normalisation out of a discriminator that has it, for games with a penalty on each sample's gradient.
    Raises GannetError when the family is unknown or cannot take the data, or when `size` is not positive.
    """
    if not (isfinite(size) and size > 0):
        raise GannetError(f"size={size}: the size of the networks must be a number above 0 (1 = small, 2, 4, ...)")
    assert latent >= 1
    name = family if family is not None else _suited(spec)
    if name not in _FAMILIES:
        raise GannetError(f"networks={name}: no such family of networks; {did_you_mean(name, _FAMILIES)}")
    if len(spec.shape) != _AXES[name] or spec.features == 0:
        raise GannetError(
            f"networks={name}: takes {_DATA[_AXES[name]]}, but {spec.kind} have the shape "
            f"{'x'.join(map(str, spec.shape))}; {_remedy(spec)}"
        )
    if name == "mlp":
        return mlp_pair(spec, size=size, latent=latent)
    if name == "sequence":
        return sequence_pair(spec, size=size, latent=latent)
    if name == "convnets":
        return convnet_pair(spec, size=size, latent=latent)
    return dcgan_pair(spec, size=size, latent=latent, normalise=normalise)


def _suited(spec: Spec) -> str:
    return {1: "mlp", 2: "sequence"}.get(len(spec.shape), "convnets")


def _remedy(spec: Spec) -> str:
    fitting = [name for name, axes in _AXES.items() if axes == len(spec.shape) and spec.features]
    return f"use networks={' or '.join(fitting)}" if fitting else "choose a recipe that brings its own networks"
