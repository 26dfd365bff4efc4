"""fewtune."""
