"""Registered addresses and users: what a firewall knows without a commit, kept as the catalog wants it."""
