"""A running node as its operators see it: asked over a socket in its state folder, told in their words.

The node may be of another version, so what it says is read with care: what is missing is not known, never a fault.
"""
