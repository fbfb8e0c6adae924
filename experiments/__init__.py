"""What came out, and is it better? Run folders, results, comparison, figures. (Knows no models and no data sets.)"""
