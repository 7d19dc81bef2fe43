"""Everything `make run` needs on one machine. Loopback only; imported by `stagedoor lab` alone."""
