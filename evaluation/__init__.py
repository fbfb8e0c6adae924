"""How good is a ranking? (Knows no Lightning and no files.)"""
