"""For those who write the files of a node: the first ones, the schema for their editor, the check and the tests of
what they wrote, before a node sees it.

Files are read by the very code that a node reads them with, so what passes here starts there.
"""
