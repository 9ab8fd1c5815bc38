"""Augmentation before the judge: keeps a discriminator from learning a small set of pictures by heart.

`augmentation_for(spec, count)` chooses one and says why. DiffAugment (Zhao et al. 2020) with the adaptive
strength of ADA (Karras et al. 2020) in a form that also holds for relativistic games.
"""

from gannet.augment.choice import Mode, augmentation_for
from gannet.augment.pictures import DifferentiableAugmentation, Policy
from gannet.augment.strength import CEILING, AdaptiveStrength

__all__ = ["CEILING", "AdaptiveStrength", "DifferentiableAugmentation", "Mode", "Policy", "augmentation_for"]
