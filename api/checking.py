"""validate: every fault of a spec, and of what it names, at once."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtune.api.envelope import Envelope
from fewtune.api.given import Given
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, Patch, SpecError
from fewtune.specs.load import Loaded
from fewtune.specs.parse import Document, parse
from fewtune.specs.patch import apply_patches, parts_of


@dataclass(frozen=True)
class Checked:
    """What was found, and the mended document if one was asked for."""

    name: str
    found: tuple[Diagnostic, ...]
    fixed: str | None = None

    @property
    def valid(self) -> bool:
        """Whether nothing forbids to plan."""
        return all(finding.severity != "error" for finding in self.found)

    def envelope(self) -> Envelope:
        """The answer for `--json`; an invalid spec is a successful validation that ends with 3."""
        data: dict[str, Any] = {"valid": self.valid, "fixed": self.fixed, "exit_status": 3}
        return Envelope(ok=self.valid, verb="validate", data=data, diagnostics=self.found,
                        next=(f"fewtune plan {self.name}",) if self.valid else ())  # fmt: skip

    def show(self) -> None:
        """Print the findings, or the mended document."""
        from fewtune.api.console import console, diagnostics

        diagnostics(console(talk=self.fixed is not None), self.found, self.name)
        if self.fixed is not None:
            sys.stdout.write(self.fixed)
        elif self.valid:
            sys.stdout.write(f"{self.name}: valid\n")


def check(spec: Given, *, fix: bool) -> Checked:
    """Check a spec: its text, its types, and, where these are right, the data and model that it names.

    Args:
        spec: as it was given.
        fix: apply the safe and likely fixes and return the mended text.
    """
    try:
        loaded = spec.loaded()
    except SpecError as error:
        return Checked(spec.name, error.diagnostics, _mended(spec, error.diagnostics) if fix else None)
    text = loaded.document.text if fix else None
    return Checked(spec.name, _facts_findings(loaded, spec.base), text)


def _facts_findings(loaded: Loaded, base: Path) -> tuple[Diagnostic, ...]:
    """What planning finds, without keeping the plan."""
    from fewtune.compiler.compilation import compile_plan
    from fewtune.runtime.probe.probing import probe

    try:
        probed = probe(loaded.experiment, base, base)
        compiled = compile_plan(loaded.experiment, probed.facts, loaded.stem)
    except FewtuneError as error:
        return loaded.located(error.diagnostics)
    return loaded.located(compiled.plan.warnings)


def _mended(spec: Given, found: tuple[Diagnostic, ...]) -> str | None:
    """The document with its fixes applied, comments kept; None where it cannot be read as a document."""
    document = parse(spec.content, spec.format)
    if not isinstance(document, Document):
        return None
    patches = tuple(
        p for finding in found for fix in finding.fixes[:1] if fix.applicability != "choose" for p in fix.patches
    )
    if document.format == "json":
        import json

        return json.dumps(apply_patches(document.tree, patches), indent=2, ensure_ascii=False) + "\n"
    return _mended_toml(document.text, patches)


def _mended_toml(text: str, patches: tuple[Patch, ...]) -> str:
    import tomlkit

    tree = tomlkit.parse(text)

    def owner(pointer: str) -> tuple[Any, Any]:
        here: Any = tree
        *parents, last = parts_of(pointer)
        for part in parents:
            here = here[int(part)] if part.isdigit() and not isinstance(here, dict) else here[part]
        return here, int(last) if last.isdigit() and not isinstance(here, dict) else last

    for patch in patches:
        if patch.op == "test":
            continue
        value: Any = patch.value
        if patch.op == "move":
            home, key = owner(patch.from_ or "")
            value = home[key]
            del home[key]
        target, key = owner(patch.path)
        target[key] = value
    return tomlkit.dumps(tree)
