"""What is allowed and perhaps not meant: checks over a compiled catalog and its access policy."""
