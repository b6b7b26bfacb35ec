"""Figures for print and an interactive report, from measurements along training."""

from landscope.figures.experiment_report import write_experiment_report
from landscope.figures.gallery import write_figures
from landscope.figures.overview import write_overview
from landscope.figures.report import write_report
from landscope.figures.sweep_report import write_sweep_report

__all__ = [
    "write_experiment_report",
    "write_figures",
    "write_overview",
    "write_report",
    "write_sweep_report",
]
