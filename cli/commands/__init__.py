"""The commands of `audio-relevance`, one a file."""
