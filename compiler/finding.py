"""A finding of the compiler: a diagnostic whose severity is in its code's first letter."""

from fewtune.specs.diagnostic import Diagnostic


def finding(code: str, message: str, pointer: str, *, remedy: str | None = None, got: str | None = None) -> Diagnostic:
    """An error for E-..., a warning for W-...; `pointer` is into the spec."""
    severity = "error" if code.startswith("E-") else "warning"
    return Diagnostic(code=code, severity=severity, message=message, pointer=pointer, remedy=remedy, got=got)
