"""People as an identity provider shows them beside people as the catalog does, and what a change of it would give."""
