"""Submissions to DCASE's task of language-based audio retrieval: the files of each year, written and checked."""
