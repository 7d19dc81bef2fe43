"""`stagedoor doctor`'s knowledge: is everything around a node as the node needs it?

Each module examines one thing and tells it in lines; `examination` runs them all at once.
"""
