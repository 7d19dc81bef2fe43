"""Stagedoor's policy: facts in, verdicts out. Pure: standard library only, no clock, no I/O."""
