"""Methods against each other: paired tests, tables, text."""
