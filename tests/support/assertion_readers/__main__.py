"""`python -m tests.support.assertion_readers`: bring what the example in Go needs."""

import sys

from tests.support.assertion_readers import install

sys.exit(install())
