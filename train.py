"""`python train.py {fit,validate,test,predict} --config NAME.yaml`: the same as `audio-relevance fit ...`."""

import sys

from cli.__main__ import train as main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
