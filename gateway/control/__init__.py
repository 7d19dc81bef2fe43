"""The role that answers people and fetches what doors need."""
