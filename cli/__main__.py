"""`python -m cli COMMAND`."""

import importlib
import sys

sys.exit(importlib.import_module(f"cli.commands.{sys.argv[1]}").main(sys.argv[2:]))
