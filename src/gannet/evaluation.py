"""After training: the six questions about a model, each answered beside what real, spoiled and copied samples score.

`evaluate_model(model)` -> `Report`. Embedder, counts and resize rule are part of the report, since figures of different
protocols cannot be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gannet import settings as knobs
from gannet.api import open_source
from gannet.domains import Dataset, Opened, domain_for
from gannet.domains.domain import Subset
from gannet.errors import GannetError, did_you_mean
from gannet.metrics import Report, evaluate_features
from gannet.metrics.embedders import joined_embedder, trained_embedder
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.inception import RESIZE_RULE, InceptionFeatures
from gannet.metrics.questions import answer_all
from gannet.model import Model
from gannet.model_contents import model_contents
from gannet.order import mixed_seed
from gannet.private_run import reopened, with_guarantee
from gannet.recipes import recipe_named

MOST = 10_000
"""Samples compared when no number is asked for; fewer when the data holds fewer."""
MOST_TRAIN = 20_000
"""Training samples among which copies are looked for."""
MOST_NUMBERS = 150_000_000
"""Numbers in the samples of one side: 600 MB; larger pictures are judged by fewer of them."""
MANY_TIMES = 4
"""Generated rows of a table for each training row that is looked at, up to twice `MOST`."""
CHUNK = 500

Embed = Callable[[Tensor], Tensor]


def evaluate_model(
    model: Model,
    *,
    samples: int | None = None,
    seed: int = 0,
    inception: str | Path | None = None,
    trained: bool = False,
    against: str | Path | None = None,
    target: str | None = None,
    sensitive: Sequence[str] = (),
    show_rows: bool = False,
) -> Report:
    """The six answers about a model, by `samples` of its samples.

    `inception` is a file of Inception-v3 weights; without it the domain's own network-free features are used, which
    `trained` joins with features of a small network taught on the training pictures (kept in the run folder).
    `against` is unseen data of the same kind to judge by, in place of what was held out in training. `target` is the
    column of a table that one would predict, `sensitive` are columns whose groups should be treated alike.
    `show_rows` puts training rows as they are beside the closest generated ones, which by default the report hides.
    Raises GannetError when the training data is gone or is not what the run was trained on, and for unknown columns.
    """
    opened = _opened(model)
    embed, name, resize = _trained(model, opened) if trained else _embedder(model, inception)
    evidence = _evidence(model, opened, against, embed, name, samples, seed)
    evidence = replace(evidence, target=target, sensitive=tuple(sensitive), show_rows=show_rows)
    _check_columns(evidence)
    report = evaluate_features(
        evidence.train.features,
        evidence.holdout.features if evidence.spared else None,
        evidence.generated.features,
        embedder=name,
        resize=resize,
        seed=seed,
        noise=evidence.floor.features,
        limit=samples or MOST,
        scale_free=inception is None,
        data=opened.fingerprint if against is None else f"{opened.fingerprint} against {Path(against).name}",
    )
    protocol = replace(report.protocol, target=target, sensitive=tuple(sensitive))
    answers = answer_all(evidence, model_contents(model.path))
    return replace(report, protocol=protocol, answers=with_guarantee(answers, model.settings))


def _opened(model: Model) -> Opened:
    """The data the model was trained on."""
    settings = model.settings
    source = settings["request"]["source"]
    if source is None:
        raise GannetError(f"{model.path} was trained on data in memory, which is not here to compare with")
    if "private" in settings:
        return reopened(settings, source)
    opened = open_source(source, settings["request"]["settings"], settings["request"]["seed"], settings["recipe"])
    if opened.fingerprint != settings["fingerprint"]:
        raise GannetError(f"{source} is not the data that {model.path} was trained on; put that data back to evaluate")
    return opened


def _evidence(
    model: Model,
    opened: Opened,
    against: str | Path | None,
    embed: Embed,
    embedder: str,
    samples: int | None,
    seed: int,
) -> Evidence:
    domain = opened.domain
    most = max(100, min(samples or MOST, MOST_NUMBERS // max(model.spec.features, 1)))

    def side(drawn: _Drawn) -> Side:
        frame = domain.frame(drawn.samples, drawn.condition) if drawn.frame is None else drawn.frame
        return Side(drawn.samples, embed(drawn.samples), drawn.condition, frame)

    rows = _rows(model, opened, opened, model.settings["request"]["source"])
    train = _some(opened.train, min(2 * most, MOST_TRAIN), seed, rows)
    spared = against is not None or opened.holdout is not None
    if against is not None:
        holdout = _unseen(model, opened, against)
    elif opened.holdout is not None:
        holdout = _some(opened.holdout, most, seed, rows)
    else:
        half = len(train.samples) // 2
        holdout, train = train.part(slice(half)), train.part(slice(half, None))
    count = max(len(holdout.samples), min(most, len(train.samples)))
    if samples is None and model.spec.kind == "tables":
        # Rows cost little, and the more there are, the smaller a leak or an unfair gap can be seen.
        count = max(count, min(2 * most, MANY_TIMES * len(train.samples)))
    # Of training samples: held-out ones shuffled would match the held-out columns exactly.
    some = train.part(slice(len(holdout.samples)))
    spoiled = domain.spoiled(some.samples, some.condition, np.random.default_rng(mixed_seed(seed, "spoiled")))
    return Evidence(
        spec=model.spec,
        domain=domain,
        train=side(train),
        holdout=side(holdout),
        generated=side(_Drawn(*model.draw(count, seed=mixed_seed(seed, "evaluate")))),
        floor=side(_Drawn(*spoiled)),
        spared=spared,
        embedder=embedder,
        seed=seed,
        allowed=domain.unlearned,
    )


@dataclass(frozen=True)
class _Drawn:
    """Samples that were read or made; row i of each form is the same sample."""

    samples: Tensor
    condition: Tensor | None
    frame: Any = None
    """Rows as the source has them, without what encoding loses; None where there are none such."""

    def part(self, rows: slice) -> _Drawn:
        condition = None if self.condition is None else self.condition[rows]
        return _Drawn(
            self.samples[rows], condition, None if self.frame is None else self.frame.iloc[rows].reset_index(drop=True)
        )


def _rows(model: Model, opened: Opened, read: Opened, source: str) -> Any:
    """The rows of a source, read as `read`, in the columns of the training data: row i is sample i; or None."""
    kinds = [recipe_named(model.settings["recipe"]), type(opened.domain).Options]
    _, options = knobs.apply(kinds, model.settings["request"]["settings"])
    frame = opened.domain.rows(source, opened.domain.Options(**options))
    if frame is None or not isinstance(read.train, Subset):
        return None
    frame = frame if read.kept is None else frame.iloc[read.kept]
    assert len(frame) == len(read.train.dataset), f"{len(frame)} rows, {len(read.train.dataset)} samples"
    return frame


def _some(data: Dataset, most: int, seed: int, rows: Any = None) -> _Drawn:
    """At most `most` samples chosen by the seed, read a chunk at a time; `rows` are all rows of the source."""
    chosen = np.random.default_rng(mixed_seed(seed, "evaluate")).permutation(len(data))[:most]
    read = [data.read(part) for part in np.array_split(chosen, max(len(chosen) // CHUNK, 1))]
    conditions = [condition for _, condition in read if condition is not None]
    frame = None
    if rows is not None and isinstance(data, Subset):
        frame = rows.iloc[data.indices[chosen]].reset_index(drop=True)
    return _Drawn(torch.cat([samples for samples, _ in read]), torch.cat(conditions) if conditions else None, frame)


def _unseen(model: Model, opened: Opened, against: str | Path) -> _Drawn:
    """Samples of a file or folder that took no part in training, as the model's own domain encodes them."""
    request = model.settings["request"]
    kind = domain_for(str(against)).kind
    if kind != model.spec.kind:
        raise GannetError(f"--against {against} holds {kind}, the run makes {model.spec.kind}")
    other = open_source(str(against), request["settings"], request["seed"], model.settings["recipe"])
    if other.fingerprint == opened.fingerprint:
        raise GannetError(f"--against {against} is the data the run was trained on; give samples it never saw")
    rows = _rows(model, opened, other, str(against))
    parts = [_some(data, MOST, 0, rows) for data in (other.train, other.holdout) if data is not None]
    samples = torch.cat([part.samples for part in parts])
    conditions = [part.condition for part in parts if part.condition is not None]
    condition = torch.cat(conditions) if conditions else None
    if other.domain.spec == model.spec and other.domain.state() == opened.domain.state():
        return _Drawn(samples, condition, None if rows is None else _joined([part.frame for part in parts]))
    if model.spec.kind == "tables":
        # As they are: what the other data's own encoding would lose is no fault of the model.
        frame = other.domain.decode(samples, condition) if rows is None else _joined([part.frame for part in parts])
        return _Drawn(opened.domain.encode(frame), opened.domain.conditions(frame), None if rows is None else frame)
    if other.domain.spec.condition != model.spec.condition:
        raise GannetError(f"--against {against}: its labels are not those of the run; give data with the same ones")
    return _Drawn(opened.domain.encode(other.domain.decode(samples, condition)), condition)


def _joined(frames: list[Any]) -> Any:
    """Frames of the same columns, one below the other."""
    import pandas

    return pandas.concat(frames, ignore_index=True)


def _check_columns(evidence: Evidence) -> None:
    """The named columns exist."""
    wanted = [*([evidence.target] if evidence.target is not None else []), *evidence.sensitive]
    frame: Any = evidence.train.frame
    for column in wanted:
        if frame is None:
            raise GannetError(f"column {column!r}: {evidence.spec.kind} have no columns")
        if column not in frame.columns:
            raise GannetError(f"no column {column!r}; {did_you_mean(column, [str(name) for name in frame.columns])}")


def _trained(model: Model, opened: Opened) -> tuple[Embed, str, str | None]:
    """Features of a small network taught on the run's own training pictures, joined with the network-free ones."""
    if model.spec.kind != "images":
        raise GannetError(f"trained features are for pictures, this run makes {model.spec.kind}")
    drawn = _some(opened.train, min(MOST_TRAIN, MOST_NUMBERS // model.spec.features), 0)
    pictures = drawn.samples
    labels = Side(pictures, pictures.flatten(1), drawn.condition).classes(model.spec)
    network = trained_embedder(pictures, labels, seed=model.settings["seed"], cache=model.path / "embedder.safetensors")
    joined = joined_embedder(network, model.domain.embed, model.domain.embedder, pictures[:MOST])
    return _in_chunks(joined.embed), joined.name, None


def _embedder(model: Model, inception: str | Path | None) -> tuple[Embed, str, str | None]:
    """Features [n, d] of samples, the embedder's name, and its resize rule."""
    if inception is None:
        return _in_chunks(model.domain.embed), model.domain.embedder, None
    if model.spec.kind != "images":
        raise GannetError(
            f"inception={inception}: Inception features are for pictures, this run makes {model.spec.kind}"
        )
    network = InceptionFeatures.from_file(Path(inception))
    return _in_chunks(lambda samples: network.embed(samples)), network.name, RESIZE_RULE


def _in_chunks(embed: Embed) -> Embed:
    return lambda samples: torch.cat([embed(part) for part in samples.split(CHUNK)])
