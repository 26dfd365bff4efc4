"""What has happened: the journal is the truth, artefacts hold the results, DuckDB answers questions."""
