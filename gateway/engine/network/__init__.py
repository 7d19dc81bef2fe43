"""Keeps network devices in step with the catalog: desired → observed → plan → guards → apply → verify → drift."""
