"""Colours of all figures."""

BLUE, ORANGE, GREEN, GREY = "#2f6db3", "#d9822b", "#2e8b57", "#666666"
