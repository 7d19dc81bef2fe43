"""An imitation of PAN-OS on loopback: the XML API, candidate and running, User-ID, a packet oracle, every misbehaviour.

What it answers follows public recordings and documents of the vendor's devices; what nobody has measured is a knob. It
knows nothing of Stagedoor and is no judge of what a real firewall accepts.

- `answers` — the envelope, the web layer's bodies, a refusal
- `xpath`, `named`, `tree` — where something is, and what each action does to it
- `kinds`, `references` — which shapes are known, and who refers to whom
- `configuration`, `locks`, `jobs`, `committing`, `pushing` — candidate, running, the journal between; commits
- `admins`, `accounts` — credentials, keys, rights; administrators of the configuration
- `tags`, `userid`, `filters`, `groups` — registered tags, the seven sections, dynamic groups
- `lists` — external dynamic lists
- `oracle` — which rule a flow meets
- `pairs`, `device` — an HA pair, one device
- `shows`, `identity_shows`, `rule_shows`, `operations` — operational commands
- `saved`, `files` — whole configurations, kept and loaded; what is brought in and handed out
- `logs`, `reports` — the configuration log; reports of traffic, which are empty
- `furnishing`, `on_view` — what it holds from the beginning; all that an onlooker sees, in one answer
- `faults`, `requests`, `serving` — the knobs, one request, HTTPS
"""
