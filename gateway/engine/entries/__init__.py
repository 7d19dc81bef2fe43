"""What became of each entry of the catalog, and why: told to its owner, in sentences.

A round leaves behind what it read, believed and published (`engine/ground.py`); a state is worked out of that when
somebody asks, or when a change has to be noted, and never in the way of a round.
"""
