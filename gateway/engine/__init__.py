"""The slow role: reads the catalog, compiles, publishes, and keeps the network in step.

`sources` reads, `rounds.py` takes one change from there to the doors, `entries` tells owners what became of theirs,
`network` does the same for devices at their own pace. Everything here may be away while doors serve.
"""
