"""What came of it? Run folders: what a run writes, and what is read out of them. (Knows no models and no data sets.)"""
