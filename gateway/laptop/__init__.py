"""The command line on somebody's own machine: sign in with a browser, keep the tokens, show them to the right hosts.

A public client (RFC 8252): there is no secret, so what protects a sign-in is PKCE, `state` and `iss`, and what protects
its tokens is where they are kept and to whom they are sent. Nothing of a node is needed here: this package and its
commands run with the base installation.
"""
