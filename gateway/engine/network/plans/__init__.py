"""A plan as a value: its steps in sentences, its file, and what it has to pass before anybody applies it.

Pure: values in, values and sentences out. A device is neither asked nor written to here, so a plan can be made, kept,
read, judged and refused by the same code whoever wants it: the engine by itself, a person, a pipeline.
"""
