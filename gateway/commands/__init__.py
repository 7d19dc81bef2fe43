"""The commands of `stagedoor`, a module each. A command reads its arguments, asks a module that knows, and shows what
it was told: nothing is decided here.
"""
