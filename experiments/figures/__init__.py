"""Figures of runs, comparisons, targets and calibrations."""
