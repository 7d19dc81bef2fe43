"""The safe change procedure: locks, one transaction, a partial commit, and the way back."""
