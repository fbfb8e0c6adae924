"""What counts as relevant, and how well does a ranking serve it? (Knows nothing of audio, Lightning or data sets.)"""
