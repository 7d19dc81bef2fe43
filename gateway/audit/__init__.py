"""The audit trail: one record an exchange, in blocks that form a chain."""
