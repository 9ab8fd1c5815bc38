"""The secret behind noise and sampling: a key of the operating system, stretched by SHAKE-256 (FIPS 202).

Every draw is a pure function of (key, purpose, number), so that a resumed run repeats what it drew; without the key no
draw can be told from chance. `secret = Secret.fresh()`; `secret.normal("step", 7, size=100)`; `secret.keep(folder)`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gannet.errors import GannetError

FILE = "secret.json"
KEY_BYTES = 32
SUMMED = 4
"""Normal numbers behind each one that is used: what rounding tells about one of them says nothing of their sum
(Holohan & Braghin 2021)."""


@dataclass(frozen=True)
class Secret:
    """A key of 256 bits, and what is drawn by it."""

    key: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> Secret:
        """A key nobody knows."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def known(cls, seed: int) -> Secret:
        """A key that anyone can compute from the seed. NOT PRIVATE: whoever knows the seed can take the noise off."""
        return cls(hashlib.sha256(f"not private {seed}".encode()).digest())

    def _words(self, purpose: str, number: int, count: int) -> np.ndarray:
        """Numbers uint64 [count] that are evenly spread."""
        stream = hashlib.shake_256(self.key + f"{purpose}/{number}".encode())
        return np.frombuffer(stream.digest(8 * count), dtype="<u8")

    def uniform(self, purpose: str, number: int, size: int) -> np.ndarray:
        """Uniform numbers float64 [size] in [0, 1), multiples of 2^-53."""
        return (self._words(purpose, number, size) >> np.uint64(11)) * 2.0**-53

    def normal(self, purpose: str, number: int, size: int) -> np.ndarray:
        """Standard normal numbers float64 [size] (Box & Muller 1958), each the sum of several over its deviation."""
        half = (size + 1) // 2
        total = np.zeros(2 * half)
        for part in range(SUMMED):
            words = self._words(f"{purpose}.{part}", number, 2 * half)
            # Never 0: its logarithm has no end.
            radius = np.sqrt(-2 * np.log(((words[:half] >> np.uint64(11)) + 0.5) * 2.0**-53))
            angle = (2 * np.pi * 2.0**-53) * (words[half:] >> np.uint64(11))
            total[:half] += radius * np.cos(angle)
            total[half:] += radius * np.sin(angle)
        return total[:size] / SUMMED**0.5

    def digest(self, content: bytes) -> str:
        """A fingerprint of `content` that says nothing to whoever lacks the key (HMAC-SHA-256)."""
        return hmac.new(self.key, content, hashlib.sha256).hexdigest()

    # -- the file -------------------------------------------------------------------------------------------------

    def keep(self, folder: Path, data: str) -> None:
        """Write the key, and the keyed fingerprint of the data, into a run folder: readable by its owner alone."""
        text = json.dumps({"key": self.key.hex(), "data": data}).encode()
        handle = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def found(cls, folder: Path) -> tuple[Secret, str]:
        """The key of an unfinished run and the keyed fingerprint of its data. GannetError when it is gone or hurt."""
        try:
            kept = json.loads((folder / FILE).read_bytes())
            key, data = bytes.fromhex(kept["key"]), str(kept["data"])
        except (OSError, ValueError, KeyError, TypeError):
            raise GannetError(
                f"{folder / FILE}: the key of the noise is gone or hurt, so this private run cannot go on within its "
                "budget; begin another one with --out"
            ) from None
        return cls(key), data

    @staticmethod
    def forget(folder: Path) -> None:
        """Delete the key: from now on nobody can take the noise off."""
        with suppress(FileNotFoundError):
            (folder / FILE).unlink()
