"""Differentiable augmentation of pictures of any size and number of channels: colour, translation, cutout.

The operations of DiffAugment (Zhao et al. 2020, section 3.2), each applied to each sample with a chance, the
`strength`, as in ADA (Karras et al. 2020). Hang it on a judge: `Judge(discriminator, DifferentiableAugmentation())`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from gannet.augment.operations import cut_out, recolour, shift, turn
from gannet.augment.strength import CEILING, AdaptiveStrength
from gannet.judge import Augmentation
from gannet.portion import uniform

OPERATIONS = ("brightness", "saturation", "contrast", "scale", "rotation", "mirror", "translation", "cutout")
AMOUNTS = 10
"""Uniform numbers a sample uses besides one chance for each operation: two for translation and cutout, else one."""


@dataclass(frozen=True)
class Policy:
    """How far each operation goes at most; 0 leaves it out. The defaults are DiffAugment's."""

    brightness: float = 0.5
    """Largest change of all pixels, on the scale of [-1, 1]."""
    saturation: float = 1.0
    """Largest change of the factor 1 on a pixel's distance from its own grey."""
    contrast: float = 0.5
    """Largest change of the factor 1 on a pixel's distance from the picture's mean."""
    translation: float = 0.125
    """Largest move, as a share of the height and of the width; whole pixels."""
    cutout: float = 0.5
    """Sides of the blanked box, as a share of the height and of the width; its centre lies anywhere."""
    mirror: bool = False
    """Left to right; only where a mirrored sample is a real sample, so never by itself (digits, text, asymmetry)."""
    scale: float = 0.0
    """Largest enlargement or reduction in powers of two; with `rotation` costs about four times as much."""
    rotation: float = 0.0
    """Largest rotation either way, in degrees."""


MILD = Policy(brightness=0.25, saturation=0.5, contrast=0.25, translation=0.0625, cutout=0.25)
"""For pictures of at most 16 pixels: half of everything, one pixel of translation, a sixteenth of the area cut out."""


class DifferentiableAugmentation(Augmentation):
    """Pictures [n, C, H, W] in [-1, 1] -> the same shape; each operation on each sample with chance `strength`.

    Set the chance with `augmentation.strength.fill_(0.3)`, constant or along a ramp, or give `control` to let the
    judge's observations move it; above 0.8 it counts as 0.8. At 0 the samples come back as they are. One block of
    uniform draws from the global generator of the samples' device is taken per call, of a size that depends on n
    alone, so neither strength nor policy shifts the random numbers of the rest of the step.
    """

    def __init__(
        self, policy: Policy | None = None, *, strength: float = 0.0, control: AdaptiveStrength | None = None
    ) -> None:
        super().__init__()
        assert 0 <= strength <= CEILING
        self.policy = policy if policy is not None else Policy()
        self.control = control
        self.register_buffer("strength", torch.tensor(float(strength)))

    def observe(self, real_logits: Tensor, holdout_logits: Tensor, fake_logits: Tensor) -> None:
        """Let `control`, if there is one, move the strength by the gap of trained-on to held-out logits [n]."""
        if self.control is not None:
            self.control.update(self.strength, real_logits, holdout_logits, fake_logits)

    def forward(self, samples: Tensor) -> Tensor:
        """Pictures [n, C, H, W] changed at random; gradients of any order flow back to `samples`."""
        assert samples.dim() == 4
        draws = uniform(len(samples), len(OPERATIONS) + AMOUNTS, device=samples.device)
        # After the draws, so that a strength leaving 0 shifts no later random number. A GPU is not waited for.
        if samples.device.type == "cpu" and not self.strength:
            return samples
        chances, amounts = draws.tensor_split([len(OPERATIONS)], dim=1)
        chosen = dict(zip(OPERATIONS, (chances < self.strength.clamp(max=CEILING)).unbind(1), strict=True))
        samples = self._recolour(samples, chosen, amounts[:, :3])
        samples = self._move(samples, chosen, amounts[:, 3:8])
        return self._cut_out(samples, chosen, amounts[:, 8:])

    def _recolour(self, samples: Tensor, chosen: dict[str, Tensor], amounts: Tensor) -> Tensor:
        policy = self.policy
        if not (policy.brightness or policy.saturation or policy.contrast):
            return samples
        brightness, saturation, contrast = (2 * amounts - 1).unbind(1)
        return recolour(
            samples,
            policy.brightness * brightness * chosen["brightness"],
            1 + policy.saturation * saturation * chosen["saturation"],
            1 + policy.contrast * contrast * chosen["contrast"],
        )

    def _move(self, samples: Tensor, chosen: dict[str, Tensor], amounts: Tensor) -> Tensor:
        policy = self.policy
        scale, angle, mirror, down, right = amounts.unbind(1)
        if policy.scale or policy.rotation:
            factor = torch.exp2(policy.scale * (2 * scale - 1) * chosen["scale"])
            samples = turn(samples, factor, policy.rotation * pi / 180 * (2 * angle - 1) * chosen["rotation"])
        if not (policy.translation or policy.mirror):
            return samples
        height, width = samples.shape[2:]
        return shift(
            samples,
            _whole(down, int(policy.translation * height + 0.5)) * chosen["translation"],
            _whole(right, int(policy.translation * width + 0.5)) * chosen["translation"],
            (mirror < 0.5) & chosen["mirror"] & policy.mirror,
        )

    def _cut_out(self, samples: Tensor, chosen: dict[str, Tensor], amounts: Tensor) -> Tensor:
        if not self.policy.cutout:
            return samples
        height, width = samples.shape[2:]
        size = (int(self.policy.cutout * height + 0.5), int(self.policy.cutout * width + 0.5))
        top = (amounts[:, 0] * height).long() - size[0] // 2
        left = (amounts[:, 1] * width).long() - size[1] // 2
        return cut_out(samples, top, left, size, chosen["cutout"])


def _whole(uniform: Tensor, limit: int) -> Tensor:
    """Uniform numbers in [0, 1) -> whole numbers from -limit to limit, all equally likely."""
    return (uniform * (2 * limit + 1)).long() - limit
