"""Figures for print and an interactive report, from measurements along training."""

from landscope.figures.gallery import write_figures
from landscope.figures.model_report import write_model_report
from landscope.figures.report import write_report

__all__ = ["write_figures", "write_model_report", "write_report"]
