"""What several rooms need that knows no audio, captions or models."""
