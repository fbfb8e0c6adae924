"""The command line: one parser, one place for errors, one file a command."""
