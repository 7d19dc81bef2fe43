"""What a platform team says must hold whoever writes the rules: tests and invariants, decided over what is compiled."""
