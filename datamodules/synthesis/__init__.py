"""Synthetic sound scenes with captions and a known truth: described, rendered, put into words, and compared.

`scenes` says what can be described, `events` and `clips` make it sound, `wordings` and `captions` say it in English,
`truth` compares two scenes, and `corpus` writes it all to files in Clotho's layout.
"""
