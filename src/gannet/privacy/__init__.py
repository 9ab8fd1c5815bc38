"""Differential privacy: the secret source of noise, the Gaussian mechanism, clipping per row, and the accounting.

What a run adds up to is planned in `plan`; `gannet.private_run` puts the parts to work on a table.
"""

from __future__ import annotations

from gannet.privacy.accountant import epsilon_of, gaussian_mu
from gannet.privacy.clipping import row_gradients
from gannet.privacy.counts import NoisyCounts
from gannet.privacy.plan import Plan, Wanted
from gannet.privacy.secret import Secret

__all__ = ["NoisyCounts", "Plan", "Secret", "Wanted", "epsilon_of", "gaussian_mu", "row_gradients"]
