"""What a test leaves on disk, and how it is read again."""
