"""What a person reads after an evaluation: one HTML page, one model card, one table of several models.

`render_page(report, facts)`, `render_card(report, facts)`, `comparison_lines([("name", report), ...])`.
"""

from gannet.report.card import render_card
from gannet.report.comparison import comparison_lines, comparison_table, render_comparison
from gannet.report.page import render_page

__all__ = ["comparison_lines", "comparison_table", "render_card", "render_comparison", "render_page"]
