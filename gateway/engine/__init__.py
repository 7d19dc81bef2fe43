"""The slow role: reads the catalog, compiles, publishes."""
