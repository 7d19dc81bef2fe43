"""What a BIG-IP should have, as AS3 declarations: made, named, held against schema and traps, rendered."""
