"""Every adversarial loss and gradient penalty, each exactly once, each reduced per sample and then averaged.

Logits have shape [batch]; gradients have the shape of the samples [batch, ...]. Every function returns a scalar.
The signs follow the papers' minimised form: a player always descends its own terms.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, relu, softplus

from gannet.portion import uniform


def binary_cross_entropy(logits: Tensor, target: float) -> Tensor:
    """-t log D - (1 - t) log(1 - D) with D = sigmoid(logits): the 2014 game (Goodfellow et al., eq. 1).

    `target` 1 says real, 0 says fake; 0.9 on reals is one-sided label smoothing (Salimans et al. 2016, 3.4).
    """
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def minimax_generator(fake_logits: Tensor) -> Tensor:
    """log(1 - D(G(z))): what the generator minimises in the minimax game (Goodfellow et al. 2014, eq. 1)."""
    return -softplus(fake_logits).mean()


def least_squares(logits: Tensor, target: float) -> Tensor:
    """(D - t)^2 / 2 (Mao et al. 2017, eq. 2)."""
    return (logits - target).square().mean() / 2


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Lim & Ye 2017; Miyato et al. 2018, eq. 16)."""
    return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()


def wasserstein_critic(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """D(G(z)) - D(x): the negative of the dual estimate of the Wasserstein-1 distance (Arjovsky et al. 2017, eq. 2)."""
    return fake_logits.mean() - real_logits.mean()


def wasserstein_generator(fake_logits: Tensor) -> Tensor:
    """-D(G(z)) (Arjovsky et al. 2017, eq. 2); also the generator's side of the hinge game."""
    return -fake_logits.mean()


def relativistic(preferred_logits: Tensor, other_logits: Tensor) -> Tensor:
    """softplus(-(D(a) - D(b))) over pairs (Jolicoeur-Martineau 2018; Huang et al. 2024, eq. 2).

    The discriminator prefers real over fake; the generator prefers fake over real.
    """
    return softplus(other_logits - preferred_logits).mean()


def zero_centred(gradient: Tensor) -> Tensor:
    """||grad D||^2, summed over a sample, averaged over the batch: R1 on reals, R2 on fakes (Mescheder et al. 2018)."""
    return gradient.flatten(1).square().sum(1).mean()


def one_centred(gradient: Tensor) -> Tensor:
    """(||grad D|| - 1)^2 per sample, averaged over the batch (Gulrajani et al. 2017, eq. 3)."""
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def between(real: Tensor, fake: Tensor) -> Tensor:
    """Points on the lines between paired reals and fakes, one uniform draw a pair (Gulrajani et al. 2017, alg. 1)."""
    mix = uniform(len(real), *[1] * (real.dim() - 1), device=real.device, dtype=real.dtype)
    return fake + mix * (real - fake)


def negative_log_likelihood(log_likelihood: Tensor) -> Tensor:
    """-log p of a sample, from the logarithms [batch, tokens] of its tokens' probabilities, averaged over the batch."""
    return -log_likelihood.sum(1).mean()


def augmented_likelihood(log_likelihood: Tensor, fake_logits: Tensor, bound: float) -> Tensor:
    """Sum of (w - 1/batch) (-log p) over generated samples, w in proportion to D / (1 - D): MaliGAN's generator.

    Che et al. (2017), eq. 5: raise what the discriminator takes for real, lower the rest. `log_likelihood` is
    [batch, tokens] of the generator's own samples; `bound` limits the logits, and with them the weights.
    """
    weights = fake_logits.detach().clamp(-bound, bound).softmax(0)
    return ((weights - 1 / len(weights)) * -log_likelihood.sum(1)).sum()
