"""What several recipes share: the default networks behind a judge, spectral normalisation, cosine schedules."""

from __future__ import annotations

import math

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gannet.augment import Mode, augmentation_for
from gannet.judge import OBSERVE_EVERY, Judge
from gannet.networks import default_pair
from gannet.regularisers import lecam as regularisers_of
from gannet.spec import Spec


def game_networks(
    spec: Spec,
    *,
    size: float,
    latent: int,
    count: int,
    holdout: int,
    family: str | None = None,
    normalise: bool = True,
    spectral: bool = False,
    augment: Mode = "none",
    lecam: float | None = None,
    discriminator_size: float = 1.0,
) -> dict[str, nn.Module]:
    """The default generator and judge for data of this spec: what a recipe that is only a game plays with.

    `family` is for pictures; flat data takes perceptrons. `normalise=False` keeps batch statistics out of the
    discriminator (gradient penalties are per sample); `spectral` bounds every layer of the discriminator by its
    largest singular value (Miyato et al. 2018); `lecam` is the weight of that regulariser; `discriminator_size` is in
    units of the generator's.
    """
    pictures = len(spec.shape) == 3
    chosen = family if pictures else None
    generator, discriminator = default_pair(spec, size=size, latent=latent, family=chosen, normalise=normalise)
    if discriminator_size != 1:
        own = size * discriminator_size
        _, discriminator = default_pair(spec, size=own, latent=latent, family=chosen, normalise=normalise)
    if spectral:
        for module in discriminator.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                if not module.weight.any():
                    # A layer that starts at zero has no direction to divide by.
                    nn.init.kaiming_normal_(module.weight, a=0.2)
                spectral_norm(module)
    augmentation, _ = augmentation_for(spec, count, augment, holdout=holdout > 0, every=OBSERVE_EVERY)
    return {"generator": generator, "judge": Judge(discriminator, augmentation, regularisers_of(lecam))}


def cosine(start: float, end: float, seen: int, over: float) -> float:
    """Half a cosine from `start` to `end` over the first `over` samples, then constant (Huang et al. 2024, app. A)."""
    share = min(seen / over, 1.0) if over > 0 else 1.0
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
