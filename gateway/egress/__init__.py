"""Connections that we open: where a name leads, which addresses it may have, and whom we trust at the other end.

Where a service runs is said by the catalog, so a name is hostile until its addresses have been judged, and they are
judged at every connect. Doors, the engine's checks and `stagedoor doctor` go the same way, so that what is found to be
reachable is what a request will reach.
"""
