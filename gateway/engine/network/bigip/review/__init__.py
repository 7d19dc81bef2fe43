"""What differs between two states of a tenant, in steps and sentences for whoever has to say yes."""
