"""`python -m tests.support.oidc_provider`: install it."""

import sys

from tests.support.oidc_provider import install

sys.exit(install())
