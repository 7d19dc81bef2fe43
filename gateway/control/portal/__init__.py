"""The portal on the central host: what somebody can reach, what became of their services, where they are signed in."""
