"""Whether to augment, and how: by the kind of data and the number of samples, with the reason in words.

Small sets of pictures gain much, large ones lose a little (Zhao et al. 2020, table 3: FFHQ-256 Fréchet distance
26.6 -> 10.5 with 5,000 pictures, 3.81 -> 4.24 with 70,000). Call `augmentation_for(spec, count)`.
"""

from __future__ import annotations

from typing import Literal, get_args

from gannet.augment.pictures import MILD, DifferentiableAugmentation, Policy
from gannet.augment.strength import CEILING, AdaptiveStrength
from gannet.errors import GannetError, did_you_mean
from gannet.judge import Augmentation
from gannet.spec import Spec

Mode = Literal["auto", "none", "fixed", "adaptive"]

FEW = 30_000
"""Below this many pictures a discriminator learns them by heart within a usual run (Karras et al. 2020, figure 1)."""

TINY = 16
"""Pictures with no side above this many pixels take the milder policy."""


def augmentation_for(
    spec: Spec,
    count: int,
    mode: Mode = "auto",
    strength: float = 0.3,
    *,
    holdout: bool = True,
    mirror: bool = False,
    every: int = 1,
) -> tuple[Augmentation | None, str]:
    """An augmentation for `count` training samples of this spec (None: leave them alone), and why, in a few words.

    `strength` is the chance of the fixed mode; the adaptive one starts at 0. `holdout` says whether held-out samples
    will be observed: without them there is nothing to adapt by. `every` is the number of steps per observation.
    Raises GannetError for an unknown mode, a strength outside 0 to 0.8, or a mode this data cannot have.
    """
    _check(spec, mode, strength, holdout)
    if mode == "none":
        return None, "no augmentation: asked for"
    if spec.kind != "images":
        return None, f"no augmentation: none is known to be safe for {spec.kind}"
    if mode == "auto" and count >= FEW:
        return None, f"no augmentation: {count:,} pictures are enough ({FEW:,} or more), and it would cost some quality"
    policy, words = _policy(spec, mirror)
    cause = "asked for" if mode != "auto" else f"{count:,} pictures are few (under {FEW:,})"
    if mode == "fixed" or not holdout:
        cause += "" if mode == "fixed" else " and none are held out to adapt by"
        return DifferentiableAugmentation(policy, strength=strength), f"{words} with chance {strength:g}: {cause}"
    control = AdaptiveStrength(every=every)
    return (
        DifferentiableAugmentation(policy, control=control),
        f"{words} with a chance that starts at 0 and grows with over-fitting, at most {CEILING:g}: {cause}",
    )


def _policy(spec: Spec, mirror: bool) -> tuple[Policy, str]:
    base, words = (MILD, "mild colour") if max(spec.shape[1:]) <= TINY else (Policy(), "colour")
    policy = Policy(base.brightness, base.saturation, base.contrast, base.translation, base.cutout, mirror)
    return policy, f"{words}, translation{', mirroring' if mirror else ''} and cutout"


def _check(spec: Spec, mode: str, strength: float, holdout: bool) -> None:
    if mode not in get_args(Mode):
        raise GannetError(f"augmentation {mode!r} is unknown: {did_you_mean(mode, get_args(Mode))}")
    if not 0 <= strength <= CEILING:
        raise GannetError(
            f"augmentation strength {strength:g} is outside 0 to {CEILING:g}, where augmentations do not leak into "
            "the samples: choose a value in between"
        )
    if mode in ("fixed", "adaptive") and spec.kind != "images":
        raise GannetError(f"augmentation {mode!r} is for pictures, and this data is {spec.kind}: use auto or none")
    if mode == "adaptive" and not holdout:
        raise GannetError("augmentation 'adaptive' needs held-out samples, and there are none: use fixed, or more data")
