"""Human judgements of relevance, as published."""
