"""Differentially private rows: the generator learns by likelihood alone, by clipped and noisy gradients (DP-SGD).

    g = (sum_i g_i min(1, C / |g_i|) + noise * C * N(0, 1)) / (q n)        (Abadi et al. 2016, algorithm 1)

The masked perceptron of `networks.autoregressive` has the gradient g_i of every row's likelihood at the cost of one;
no discriminator looks at real rows. `gannet train people.csv --private epsilon=3` plans the noise and arms the recipe.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from gannet.errors import GannetError
from gannet.networks.autoregressive import RowGenerator
from gannet.privacy import Secret, row_gradients
from gannet.recipes.pieces import cosine
from gannet.recipes.recipe import Pace, Terms, Turn
from gannet.recipes.rows import RowRecipe
from gannet.spec import Spec

UNITS = 16
"""Units a token of a generator of size 1."""
RAREST = 1e-4
"""The least share that a level begins with."""
ROWS_PER_LEAF = 10
"""What `Tokens` takes a leaf of a smooth number to stand for."""


@dataclass(kw_only=True)
class Private(RowRecipe):
    """Tables with differential privacy: likelihood by clipped, noisy gradients; used by --private."""

    batch_size: int = 2048
    """Rows of a step on average; each row is drawn by itself (Poisson sampling)."""
    latent: int = 64
    """Width of the noise; follows from the columns, whatever is given."""
    steps: int = 400
    """Steps of the whole run; more steps share the same budget."""
    clip: float = 1.0
    """Largest norm of one row's gradient."""
    statistics_share: float = 0.15
    """Share of the budget (of its squared mu) for what the encoder knows of the columns."""
    limits: str | None = None
    """Ranges of numbers known beforehand, as age=0..120,income=0..1e6; others are estimated, at a cost."""
    leaves: int = 48
    """Stretches of a smooth number that the generator tells apart."""
    learning_rate: float = 2e-3
    """Adam's first step size."""
    final_share: float = 0.1
    """Adam's last step size over the first."""
    beta1: float = 0.9
    """Adam's decay of the mean gradient."""
    beta2: float = 0.99
    """Adam's decay of the squared gradient."""
    ema_share: float = 0.05
    """Share of the run after which a weight's share in the averaged generator has halved."""

    secret: Secret | None = field(init=False, repr=False, compare=False, default=None)
    noise: float = field(init=False, repr=False, compare=False, default=0.0)
    step: int = field(init=False, repr=False, compare=False, default=0)

    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator",)}
    citation: ClassVar[str] = """@inproceedings{abadi2016deep,
  title = {Deep Learning with Differential Privacy},
  author = {Abadi, Mart{\\'i}n and Chu, Andy and Goodfellow, Ian and McMahan, H. Brendan and Mironov, Ilya and
            Talwar, Kunal and Zhang, Li},
  booktitle = {Proceedings of the 2016 ACM SIGSAC Conference on Computer and Communications Security},
  year = {2016}
}"""

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (Turn("generator", "noisy_step"),)

    def check(self, spec: Spec) -> None:
        super().check(spec)
        for name, value in (("clip", self.clip), ("learning_rate", self.learning_rate), ("steps", self.steps)):
            if value <= 0:
                raise GannetError(f"{name}={value}: must be above 0")
        if not 0 < self.statistics_share < 1:
            raise GannetError(f"statistics_share={self.statistics_share}: must be above 0 and below 1")
        if self.precision == "bf16":
            raise GannetError("precision=bf16: norms of gradients must be exact to bound what a row does; use fp32")
        if self.micro_batch is not None:
            raise GannetError(f"micro_batch={self.micro_batch}: a step's noise is for all of its rows; leave it out")

    def build(self, spec: Spec, *, size: float, count: int, holdout: int) -> dict[str, nn.Module]:
        # A private number has few leaves however many rows there are: each must be learned through the noise.
        generator = RowGenerator(spec, count=self.leaves * ROWS_PER_LEAF, units=max(4, round(UNITS * size)))
        self.latent = generator.latent
        return {"generator": generator}

    @staticmethod
    @torch.no_grad()
    def begin_with(generator: nn.Module, shares: Sequence[Sequence[float]]) -> None:
        """Let a fresh generator give the levels of each choice, in the order of the blocks, these shares."""
        assert isinstance(generator, RowGenerator)
        tokens = [token for token, start in enumerate(generator.tokens.starts) if start is not None]
        for token, known in zip(tokens, shares, strict=True):
            at, row = generator.heads.places[token]
            generator.heads.biases[at][row, : len(known)] = torch.tensor(known).clamp(min=RAREST).log()

    def arm(self, secret: Secret, noise_multiplier: float) -> None:
        """Take the secret noise and its size; without them there is no step."""
        self.secret, self.noise = secret, noise_multiplier

    def pace(self, seen: int, total: int) -> Pace:
        rate = cosine(self.learning_rate, self.learning_rate * self.final_share, seen, total)
        return Pace(rate, ema_half_life=cosine(0.0, self.ema_share * total, seen, total / 4))

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.learning_rate, betas=(self.beta1, self.beta2), fused=True)

    def begin(self, seen: int, total: int) -> None:
        self.step = seen // self.batch_size

    def readings(self) -> dict[str, float]:
        return {}

    def noisy_step(self, real: Tensor, condition: Tensor | None) -> Terms:
        """A term that is linear in the weights, with the private gradient as its slope.

        Its value is that of the noisy gradient along the weights: it tells of the rows no more than the step does.
        """
        assert self.secret is not None, "a private run is armed before its first step"
        rows = row_gradients(self.writer, self.tokens.read(real), self.writer.drawn_order())
        summed = rows.clipped_sum(self.clip)
        weights = dict(self.writer.named_parameters())
        assert summed.keys() == weights.keys(), "every weight that real rows teach is clipped"
        sizes = [weight.numel() for weight in weights.values()]
        drawn = torch.from_numpy(self.secret.normal("step", self.step, sum(sizes))).float()
        noise = (self.noise * self.clip * drawn).to(real.device).split(sizes)
        slopes = [
            torch.dot(weight.flatten(), (summed[name].flatten() + each) / self.batch_size)
            for (name, weight), each in zip(weights.items(), noise, strict=True)
        ]
        return {"private": torch.stack(slopes).sum()}

    def describe(self) -> dict[str, Any]:
        return {"learning rate": f"{self.learning_rate:.2g}"}
