"""Settings of network devices: their models, and what they mean together."""
