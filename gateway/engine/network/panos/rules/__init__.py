"""Coarse rules and their objects as a firewall has them: rendered, read, compared, told."""
