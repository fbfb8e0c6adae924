"""Is a test clean? Recordings, captions and audio that training and evaluation share, in one report."""
