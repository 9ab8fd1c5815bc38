"""After (and, cheaply, during) training: how real and how varied generated samples are, beside real ones.

`evaluate_features(train, holdout, generated, ...)` -> `Report`; `running_score(reference, features)` while training.
"""

from gannet.metrics.answer import Answer, Figure, Picture, Table
from gannet.metrics.evaluation import METRICS_VERSION, evaluate_features
from gannet.metrics.frechet import RUNNING_SAMPLES, ReferenceStatistics, frechet_distance, running_score
from gannet.metrics.kernel import kernel_distance
from gannet.metrics.neighbours import density_coverage, nearest, neighbour_scores, precision_recall
from gannet.metrics.report import Comparison, Protocol, Report, compare
from gannet.metrics.sliced_wasserstein import sliced_wasserstein

__all__ = [
    "METRICS_VERSION",
    "RUNNING_SAMPLES",
    "Answer",
    "Comparison",
    "Figure",
    "Picture",
    "Protocol",
    "ReferenceStatistics",
    "Report",
    "Table",
    "compare",
    "density_coverage",
    "evaluate_features",
    "frechet_distance",
    "kernel_distance",
    "nearest",
    "neighbour_scores",
    "precision_recall",
    "running_score",
    "sliced_wasserstein",
]
