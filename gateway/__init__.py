"""Stagedoor's gateway: the processes around the policy table."""
