"""A GAN with scikit-learn's conventions, for arrays and data frames: `GAN(random_state=0).fit(X).sample(100)`.

The constructor stores and never computes; `fit` returns self; what is learned ends in an underscore. Works with
`sklearn.base.clone`, without needing scikit-learn.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gannet.api import load, prepare
from gannet.errors import GannetError, did_you_mean
from gannet.model import Model


class GAN:
    """Learns a distribution from rows [n, columns], a data frame, or pictures [n, height, width(, channels)].

    Parameters are those of `gannet.train`; `random_state` is its seed, `settings` its further key=value pairs, and
    `out` the run folder (None: a temporary one that goes with the estimator).
    """

    def __init__(
        self,
        *,
        recipe: str | None = None,
        time: str | float | None = None,
        samples: str | int | None = None,
        size: str | float | None = None,
        device: str = "auto",
        random_state: int | None = 0,
        out: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.recipe = recipe
        self.time = time
        self.samples = samples
        self.size = size
        self.device = device
        self.random_state = random_state
        self.out = out
        self.settings = settings

    def fit(self, X: Any, y: Any = None) -> GAN:
        """Train on X; y [n], when given, becomes the condition "label" that `sample(where=...)` can ask for."""
        out = self._temporary() if self.out is None else Path(self.out)
        session = prepare(
            X if y is None else (X, y),
            recipe=self.recipe,
            out=out,
            time=self.time,
            samples=self.samples,
            size=self.size,
            device=self.device,
            seed=self.random_state or 0,
            settings=self.settings,
            command="GAN.fit",
        )
        outcome = session.play()
        if outcome.status == "interrupted":
            raise KeyboardInterrupt(outcome.message)
        self.model_: Model = load(out)
        self.score_ = outcome.best_score
        return self

    def _temporary(self) -> Path:
        """A folder that goes with this object."""
        folder = tempfile.mkdtemp(prefix="gannet-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder) / "run"

    def sample(self, n: int = 1, *, where: Mapping[str, Any] | None = None, truncation: float | None = None) -> Any:
        """`n` new samples in the form of X: an array for an array, a frame for a frame."""
        return self._fitted().sample(n, seed=self.random_state or 0, where=where, truncation=truncation)

    def fill(self, X: Any) -> Any:
        """X with its missing cells drawn given what is known of each row; see `Model.fill`. Of tables alone."""
        return self._fitted().fill(X, seed=self.random_state or 0)

    def _fitted(self) -> Model:
        if "model_" not in vars(self):
            raise GannetError("this GAN is not fitted yet; call fit(X) first")
        return self.model_

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's parameters by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **parameters: Any) -> GAN:
        """Change constructor parameters; GannetError for a name that is none."""
        known = self.get_params()
        for name, value in parameters.items():
            if name not in known:
                raise GannetError(f"{name} is not a parameter of GAN; {did_you_mean(name, known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = {name: item.default for name, item in inspect.signature(type(self)).parameters.items()}
        given = {name: value for name, value in self.get_params().items() if value != defaults[name]}
        return f"GAN({', '.join(f'{name}={value!r}' for name, value in given.items())})"
