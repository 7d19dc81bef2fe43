"""The data plane: callers' connections in, permitted requests out to upstreams."""
