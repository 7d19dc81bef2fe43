"""`python -m bench` is `bench.run`."""

import sys

from bench.run import guarded

sys.exit(guarded())
