"""Palo Alto Networks PAN-OS firewalls, over their XML API."""
