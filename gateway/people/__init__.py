"""The identity map as a report: who was seen or listed, whom the door finds, and what rights would change."""
