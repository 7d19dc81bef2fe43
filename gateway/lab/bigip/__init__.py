"""An imitation of BIG-IP on loopback: iControl REST, AS3, an HA pair, some traffic, and every way to misbehave.

What it answers follows recordings of the real AS3 engine and of real devices; where none exists, the vendor's
documents. It knows nothing of Stagedoor and is no judge of what a real device accepts.

- `refusals` — an answer that is an error, as a value
- `tree`, `collections`, `presenting`, `query` — the objects, what kinds there are, how they look over the wire
- `integrity`, `objects` — what the device refuses to hold; create, change, remove
- `tokens`, `transactions`, `tasks`, `availability` — log-in, transactions, save and config-sync, active and standby
- `tmsh`, `scripts` — the cli scripts that the real AS3 engine would have a device run
- `templates`, `properties`, `translation`, `declared` — an AS3 tenant as the device's properties, and back
- `checking`, `schema`, `references` — what AS3 refuses before it touches the device
- `difference`, `archive`, `requests`, `engine`, `worker` — AS3 itself
- `faults`, `unit`, `serving` — the knobs, one device, its HTTPS
- `prober`, `data_plane` — bigd, and a virtual server that passes traffic
"""
