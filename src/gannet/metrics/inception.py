"""Inception-v3 (Szegedy et al. 2015) as the Fréchet Inception distance reads it (Heusel et al. 2017): 2048 features.

`InceptionFeatures.from_file("pt_inception-2015-12-05.pth").embed(pictures)`; the weights are the user's file, with the
key names of the published port, and are never fetched. Pictures are resized to 299 x 299, bilinear with antialiasing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, relu

from gannet.errors import GannetError

SIDE = 299
RESIZE_RULE = "8-bit, then bilinear with antialiasing to 299 x 299"
FEATURES = 2048

Step = tuple[str, int, tuple[int, int]]
"""One convolution: its name in the weights file, its output channels, its kernel (height, width)."""
Chain = tuple[Step, ...]
"""Convolutions one after the other. Names that differ only in a last letter (a, b) stand side by side instead."""


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation with frozen statistics, rectifier."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], stride: int = 1, same: bool = True) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if same else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class Mixed(nn.ModuleDict):
    """Parallel chains and a pooling branch, joined along the channels (Szegedy et al. 2015, figures 5 to 7 and 10).

    With `shrink`, the last convolution of each chain and the pooling have stride 2 and no padding.
    """

    def __init__(self, inputs: int, chains: tuple[Chain, ...], pool: int | None, *, maximum: bool = False) -> None:
        """`pool`: channels of the pooling branch's convolution; None halves the picture instead (figure 10)."""
        super().__init__()
        self.chains = [[name for name, *_ in chain] for chain in chains]
        self.shrink, self.maximum = pool is None, maximum
        for chain in chains:
            width = inputs
            for place, (name, outputs, kernel) in enumerate(chain):
                last = self.shrink and place == len(chain) - 1
                self[name] = Convolution(width, outputs, kernel, 2 if last else 1, not last)
                width = width if name.endswith("a") else outputs
        if pool is not None:
            self["branch_pool"] = Convolution(inputs, pool, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        joined = []
        for chain in self.chains:
            y = x
            for name in chain:
                if name.endswith("a"):
                    joined.append(self[name](y))
                else:
                    y = self[name](y)
            joined.append(y)
        return torch.cat([*joined, self._pooled(x)], 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.shrink:
            return max_pool2d(x, 3, 2)
        if self.maximum:
            return self["branch_pool"](max_pool2d(x, 3, 1, 1))
        return self["branch_pool"](avg_pool2d(x, 3, 1, 1, count_include_pad=False))


def _grid_35(inputs: int, pool: int) -> Mixed:
    """Figure 5: 5x5 as it was, 3x3 twice."""
    five = (("branch5x5_1", 48, (1, 1)), ("branch5x5_2", 64, (5, 5)))
    twice = (("branch3x3dbl_1", 64, (1, 1)), ("branch3x3dbl_2", 96, (3, 3)), ("branch3x3dbl_3", 96, (3, 3)))
    return Mixed(inputs, ((("branch1x1", 64, (1, 1)),), five, twice), pool)


def _grid_17(middle: int) -> Mixed:
    """Figure 6: 7x7 in factors, once and twice."""
    once = (("branch7x7_1", middle, (1, 1)), ("branch7x7_2", middle, (1, 7)), ("branch7x7_3", 192, (7, 1)))
    twice = (
        ("branch7x7dbl_1", middle, (1, 1)),
        ("branch7x7dbl_2", middle, (7, 1)),
        ("branch7x7dbl_3", middle, (1, 7)),
        ("branch7x7dbl_4", middle, (7, 1)),
        ("branch7x7dbl_5", 192, (1, 7)),
    )
    return Mixed(768, ((("branch1x1", 192, (1, 1)),), once, twice), 192)


def _grid_8(inputs: int, *, maximum: bool) -> Mixed:
    """Figure 7: 3x3 in factors that stand side by side. The 2015 weights pool by the maximum in the last block."""
    once = (("branch3x3_1", 384, (1, 1)), ("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1)))
    twice = (
        ("branch3x3dbl_1", 448, (1, 1)),
        ("branch3x3dbl_2", 384, (3, 3)),
        ("branch3x3dbl_3a", 384, (1, 3)),
        ("branch3x3dbl_3b", 384, (3, 1)),
    )
    return Mixed(inputs, ((("branch1x1", 320, (1, 1)),), once, twice), 192, maximum=maximum)


def _to_17() -> Mixed:
    twice = (("branch3x3dbl_1", 64, (1, 1)), ("branch3x3dbl_2", 96, (3, 3)), ("branch3x3dbl_3", 96, (3, 3)))
    return Mixed(288, ((("branch3x3", 384, (3, 3)),), twice), None)


def _to_8() -> Mixed:
    three = (("branch3x3_1", 192, (1, 1)), ("branch3x3_2", 320, (3, 3)))
    seven = (
        ("branch7x7x3_1", 192, (1, 1)),
        ("branch7x7x3_2", 192, (1, 7)),
        ("branch7x7x3_3", 192, (7, 1)),
        ("branch7x7x3_4", 192, (3, 3)),
    )
    return Mixed(768, (three, seven), None)


class InceptionV3(nn.Module):
    """The network up to its last average pool; the names of its parts are those of the weights file."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, (3, 3), 2, same=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, (3, 3), same=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = Convolution(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Convolution(80, 192, (3, 3), same=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _grid_35(192, 32), _grid_35(256, 64), _grid_35(288, 64)
        self.Mixed_6a = _to_17()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(_grid_17, (128, 160, 160, 192))
        self.Mixed_7a = _to_8()
        self.Mixed_7b, self.Mixed_7c = _grid_8(1280, maximum=False), _grid_8(2048, maximum=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, 2048] of pictures [n, 3, 299, 299] in [-1, 1]."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))


@dataclass(frozen=True)
class InceptionFeatures:
    """An embedder of pictures, with the weights a user gave."""

    network: InceptionV3
    name: str
    """Printed with every figure: the network, its layer, and the first digits of the weights file's SHA-256."""

    @classmethod
    def from_file(cls, path: str | Path, device: str | torch.device = "cpu") -> InceptionFeatures:
        """Load weights in the layout of pt_inception-2015-12-05 from a .safetensors, .pt or .pth file.

        Raises GannetError naming the file and the first missing, unexpected or wrongly shaped weights.
        """
        path = Path(path)
        weights = _read_weights(path)
        with torch.device("meta"):
            network = InceptionV3()
        network.load_state_dict(_fitted(weights, network.state_dict(), path), assign=True)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        frozen = network.float().eval().requires_grad_(False).to(device)
        return cls(frozen, f"Inception-v3 pool3 (weights {digest})")

    @torch.no_grad()
    def embed(self, pictures: Tensor, batch: int = 32) -> Tensor:
        """Features [n, 2048] of pictures [n, 1 or 3, height, width], uint8 or floats in [-1, 1]; `RESIZE_RULE`."""
        channels = pictures.shape[1]
        if pictures.dim() != 4 or channels not in (1, 3):
            raise GannetError(
                f"Inception reads pictures [n, 1 or 3, height, width], not {list(pictures.shape)}: "
                "drop the transparency, or use the images' own features"
            )
        device = next(self.network.parameters()).device
        parts = [self.network(prepare(some.to(device))).cpu() for some in pictures.split(batch)]
        return torch.cat(parts) if parts else torch.zeros(0, FEATURES)


def prepare(pictures: Tensor) -> Tensor:
    """Pictures [n, 1 or 3, height, width] -> [n, 3, 299, 299] in [-1, 1].

    Floats are first rounded to the 8 bits they would be stored in, so that real files and fresh samples are alike.
    """
    if pictures.dtype != torch.uint8:
        pictures = ((pictures.clamp(-1, 1) + 1) * 127.5).round()
    scaled = pictures.float() / 127.5 - 1
    resized = interpolate(scaled, size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return resized.expand(-1, 3, -1, -1)


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise GannetError(
            f"{path}: no such file; Gannet never fetches weights: download pt_inception-2015-12-05 and give its path"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file can be wrong in any way
        raise GannetError(
            f"{path}: cannot be read as safetensors or as a .pt of plain tensors ({type(error).__name__}): "
            "give the published weights file, unchanged"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise GannetError(f"{path}: holds no dictionary of tensors: give the state dictionary itself")
    return weights


def _fitted(weights: dict[str, Tensor], expected: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The weights this network needs, checked; the classifier and auxiliary head of the file are left out."""
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    given = {name: value for name, value in weights.items() if not name.startswith(("fc.", "AuxLogits."))}
    missing = [name for name in expected if name not in given and name not in counters]
    unexpected = [name for name in given if name not in expected]
    misshapen = [name for name in expected if name in given and given[name].shape != expected[name].shape]
    for names, what in ((missing, "lacks"), (unexpected, "has unknown"), (misshapen, "has other shapes for")):
        if names:
            shown = ", ".join(sorted(names)[:3])
            raise GannetError(
                f"{path}: {what} {len(names)} weights of Inception-v3 ({shown}{', ...' if len(names) > 3 else ''}): "
                "give weights in the layout of pt_inception-2015-12-05"
            )
    return {name: given.get(name, torch.zeros((), dtype=torch.long)) for name in expected}
