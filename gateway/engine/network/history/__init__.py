"""What is kept of changes to devices: what was applied last, the audit trail, and what was learnt from failures.

All of it outlives the engine. The trail is written before a device is; the rest may be lost, which costs a word in a
report or one more try, and never safety.
"""
