"""The pages that are the documentation."""
