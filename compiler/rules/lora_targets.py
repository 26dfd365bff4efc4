"""Which linear layers get a low-rank update."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import fires


def lora_targets(s: ArmSituation) -> Choice:
    """All linear layers of the blocks; the output layer stays frozen."""
    names = sorted({linear.name for linear in s.facts.model.linears})
    if not fires(s, "R-035"):
        because = "all linear layers, the MLP included, as on decoders: no row speaks of encoders"
        return Choice(value=names, because=because, rule="design", flips_when="methods.pin.targets is given")
    return Choice(
        value=names,
        because="all linear layers, the MLP included: attention alone is worse even at equal size",
        rule="R-035",
        alternatives=(otherwise(["q_proj", "v_proj"], "the old default; worse", "R-035"),),
        flips_when="methods.pin.targets is given",
    )
