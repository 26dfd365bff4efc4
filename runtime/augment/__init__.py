"""Synthetic data from a small seed set: analyse the seeds, let a teacher write, filter what it wrote."""
