"""Tables, files and figures of the analyses."""
