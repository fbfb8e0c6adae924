"""Analyses of finished runs: what their folders hold, as tables, files and figures."""
