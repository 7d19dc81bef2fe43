"""Stagedoor measured beside the gateways people use today, on one machine, with one command.

`python -m bench` sets everything up, measures and writes `bench/results/latest.json`; `python -m bench.micro`
times the hot functions alone. `bench/README.md` states the method and what the figures can't say.
"""
