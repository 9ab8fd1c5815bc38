"""The contract of a published system: its knobs, its players, its turns, and one loss method a turn.

A recipe's loss methods return named terms; they never call backward, step or zero_grad and never branch on a
setting. The engine alone sums, checks, scales, calls backward and steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

from gannet.errors import GannetError
from gannet.judge import Judge
from gannet.networks.layers import Stage
from gannet.portion import normal
from gannet.spec import Spec, Wish

Terms = dict[str, Tensor]
"""Named scalars of one player's loss; the engine descends their sum."""
SMALL_BATCH = 8
"""A batch below this makes a game noisy."""
MANY_TIMES = 10
"""The usual learning rate times this is more than any data has been seen to bear."""
HEAVY = 0.9
"""Momentum above this makes two players circle each other (Gidel et al. 2019); published games use 0 to 0.5."""
ALL_BUT_OFF = 1e-3
"""A penalty below this share of its published weight is as good as none."""
MISMATCH = 3.0
"""How many times larger or smaller than the generator a discriminator may be: about ten times the weights."""


class Wished(NamedTuple):
    """Samples that were asked for."""

    samples: Tensor
    """[count, features]."""
    condition: Tensor | None
    """[count, width]: those of the conditions offered that suit the wish; None where there are none."""
    chance: float
    """The share of all samples that would meet the wish, as the generator sees it."""


class Doubt(NamedTuple):
    """A setting that is allowed and known to end badly, and what to play with instead."""

    knob: str
    instead: Any
    told: str


@dataclass(frozen=True)
class Turn:
    """Who moves, by which loss method, at which steps (`every`), and how many times in a row (`times`)."""

    player: str
    loss: str
    every: int = 1
    times: int = 1


@dataclass(frozen=True)
class Pace:
    """The schedules' values at one moment of the run."""

    learning_rate: float
    betas: tuple[float, float] | None = None
    """Adam's decay rates; None leaves the optimiser's own."""
    ema_half_life: float = 0.0
    """Samples after which a weight's share in the average has halved; 0 copies the weights."""


@dataclass(kw_only=True)
class Recipe(ABC):
    """The interface of a published system. Leaves are dataclasses of its knobs, a docstring under each."""

    citation: ClassVar[str]
    """BibTeX of the publication."""
    players: ClassVar[dict[str, tuple[str, ...]]] = {"discriminator": ("judge",), "generator": ("generator",)}
    """Which networks each player owns."""
    averaged: ClassVar[tuple[str, ...]] = ("generator",)
    """Networks of which a moving average is kept; samples are drawn from the average."""

    answers: ClassVar[bool] = False
    """Whether flat samples can be asked for by any of their blocks: `wished` and `filled`."""

    replayable: ClassVar[bool] = False
    """Whether the loss methods compute with tensors alone: they wait for no value, and no Python number in them changes
    but by a remedy. A GPU may then replay what it did at the first steps (`recorded.py`)."""

    batch_size: int = 64
    """Real samples a step shows to the discriminator."""
    latent: int = 64
    """Width of the generator's noise."""
    micro_batch: int | None = None
    """Samples in memory at a time; gradients add up to those of the whole batch. None: the whole batch at once."""
    checkpoint: bool = False
    """Compute parts of large networks for pictures again in backward passes instead of keeping them: less memory where
    there is no penalty on slopes, more time, the same result. `micro_batch` saves memory in every game at less cost."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the networks; weights, penalties and losses stay fp32. Auto: bf16 on a GPU that has it."""

    networks: nn.ModuleDict = field(init=False, repr=False, compare=False)
    firmness: float = field(init=False, repr=False, compare=False, default=1.0)
    """Factor on what calms the discriminator; the engine raises it when the game must be softened."""

    @property
    @abstractmethod
    def turns(self) -> tuple[Turn, ...]:
        """The order of play within a step."""

    @classmethod
    def suited(cls, spec: Spec, size: float, count: int) -> dict[str, Any]:
        """Settings that suit this data, its number of samples and the size better than the defaults.

        The user's own wishes go before them.
        """
        return {}

    @abstractmethod
    def build(self, spec: Spec, *, size: float, count: int, holdout: int) -> dict[str, nn.Module]:
        """The networks, by name, for data of this spec: `count` samples to train on and `holdout` beside them.

        `size` is the one dial of capacity (1 = small).
        """

    @abstractmethod
    def pace(self, seen: int, total: int) -> Pace:
        """Learning rate, betas and EMA half-life after `seen` of `total` samples."""

    @abstractmethod
    def optimiser(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """The published optimiser over one player's parameters."""

    def begin(self, seen: int, total: int) -> None:  # noqa: B027 - a hook most games do not need
        """Set what follows a schedule other than the pace (a penalty weight) before a step."""

    def readings(self) -> dict[str, float]:
        """What changes as the game goes on, beside the loss terms, for the log."""
        augmentation = self.judge.augmentation
        return {} if augmentation is None else {"augmentation": float(augmentation.strength)}

    def after_turn(self, turn: Turn) -> None:  # noqa: B027
        """What a game does after a turn's step (weight clipping, a penalty weight that adapts)."""

    def doubts(self) -> list[Doubt]:
        """Settings that are allowed and known to end badly; asked after `build`."""
        knobs = [(knob.name, getattr(self, knob.name), knob.default) for knob in fields(self) if knob.init]
        told = [(name, usual, _doubtful(name, value, usual)) for name, value, usual in knobs]
        return [Doubt(name, usual, sentence) for name, usual, sentence in told if sentence is not None]

    def overrule(self, settings: Mapping[str, Any]) -> None:
        """Play on with these knobs; networks and optimisers are the engine's to renew."""
        for name, value in settings.items():
            assert name in {knob.name for knob in fields(self) if knob.init}
            setattr(self, name, value)

    def check(self, spec: Spec) -> None:
        """Raise GannetError when a setting is out of range, or when this recipe cannot play on data of this spec."""
        for knob in fields(self):
            value = getattr(self, knob.name) if knob.init else None
            least = 1 if knob.name in ("batch_size", "latent", "micro_batch") else 0
            if isinstance(value, int | float) and value < least:
                raise GannetError(f"{knob.name}={value}: must be at least {least}")

    def bind(self, networks: nn.ModuleDict) -> None:
        """Take the built networks as the players' own."""
        self.networks = networks
        for module in networks.modules():
            if isinstance(module, Stage):
                module.recomputed = self.checkpoint

    @property
    def judges(self) -> bool:
        """Whether the discriminator plays at this moment; while it does not, what it says means nothing."""
        return True

    @property
    def judge(self) -> Judge:
        """The discriminator behind its seam."""
        judge = self.networks["judge"]
        assert isinstance(judge, Judge)
        return judge

    def generate(self, count: int, condition: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """`count` fake samples from fresh noise [count, latent], for the given conditions [count, width].

        `truncation` below 1 shrinks the noise: more typical samples, less variety (Brock et al. 2019, 3.1).
        """
        generator = self.networks["generator"]
        device = next(generator.parameters()).device
        latent = normal(count, self.latent, device=device)
        return generator(latent * truncation, condition).to(latent.dtype)

    def surprise(self, real: Tensor, condition: Tensor | None = None) -> Tensor | None:
        """Minus the log-likelihood [n] of samples [n, *shape]; None where the game does not know it."""
        return None

    def wished(self, count: int, wish: Wish, condition: Tensor | None = None, truncation: float = 1.0) -> Wished:
        """`count` samples that meet a wish, as frequent as among all samples that meet it.

        `condition` [several * count, width] offers conditions, of which those are taken that suit the wish.
        Only of recipes that `answers`.
        """
        raise AssertionError(f"{type(self).__name__} cannot be asked for wishes")

    def filled(
        self, samples: Tensor, known: Tensor, condition: Tensor | None = None, wish: Wish | None = None
    ) -> Tensor:
        """The samples [n, features] with the features not marked in `known` drawn anew, given the others.

        `known` is [features], or [n, features] where each sample has gaps of its own. `wish` limits what is drawn.
        Only of recipes that `answers`.
        """
        raise AssertionError(f"{type(self).__name__} cannot fill gaps")

    def describe(self) -> dict[str, Any]:
        """The choices worth telling before training, in short words."""
        return {}


def _doubtful(name: str, value: Any, usual: Any) -> str | None:
    """Why a knob's value is known to end badly, or None."""
    if name == "batch_size" and value < SMALL_BATCH:
        return f"a batch of {value} is small: the game will be noisy; 32 or more is usual"
    if name == "learning_rate" and usual is not None and value > MANY_TIMES * usual:
        return f"learning_rate={value:g} is far above the usual {usual:.2g}"
    if name == "beta1" and value > HEAVY:
        return f"beta1={value:g} is more momentum than a game of two players bears; {usual:g} is usual"
    if name == "penalty" and value < ALL_BUT_OFF * usual:
        return f"penalty={value:g} all but switches the gradient penalty off; {usual:g} is usual"
    if name == "discriminator_size" and not 1 / MISMATCH <= value <= MISMATCH:
        return f"discriminator_size={value:g}: the players cannot match"
    return None
