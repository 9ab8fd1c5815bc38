"""Several tables with keys: parents and children, learned table by table and generated so that every key refers.

`path = relational.train("shop/")`, then `relational.TableSet(path).sample(1000)` -> {table: frame}.
"""

from gannet.relational import verbs
from gannet.relational.evaluation import TablesReport, evaluate
from gannet.relational.evaluation import write as write_report
from gannet.relational.sampling import TableSet
from gannet.relational.training import Training, claims, inspect, is_run, resume, train

__all__ = [
    "TableSet",
    "TablesReport",
    "Training",
    "claims",
    "evaluate",
    "inspect",
    "is_run",
    "resume",
    "train",
    "verbs",
    "write_report",
]
