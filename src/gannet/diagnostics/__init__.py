"""During training: what the game looks like from outside, what goes wrong, and what to do about it.

`Referee(...)` is the watcher that the engine asks after every line of the log and every look at samples.
"""

from gannet.diagnostics.foresight import foresee
from gannet.diagnostics.referee import Referee

__all__ = ["Referee", "foresee"]
