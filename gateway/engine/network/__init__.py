"""Keeps network devices in step with the catalog: desired → observed → plan → guards → apply → verify → drift.

`controller.py` gives each device its wish (`desired.py`); `reconcile` holds the wish against the device and applies
what `plans` permit; `history` keeps what was done. `transport` is the way to any device, `bigip` and `panos` know what
each vendor understands, and nothing else does. `whereabouts` and `fronts.py` look at the network around the devices,
`feeds.py` is for devices that read by themselves, and `answers` is for people.
"""
