"""Documents that network devices read by themselves, on the central host."""
