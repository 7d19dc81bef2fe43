"""The schema's history, one file a step, run by Alembic when the store is opened.

A step only adds, or changes what the program before it does not use: until they connect anew, nodes with the older
program go on with the newer schema. It is run in one transaction, so it is there whole or not at all.
"""
