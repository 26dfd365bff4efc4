"""Behind which sublayers bottleneck adapters stand."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise


def adapter_placement(s: ArmSituation) -> Choice:
    """Behind attention and MLP, as they were published first."""
    return Choice(
        value="houlsby",
        because="behind attention and MLP: the published 3.6 % of parameters and 0.4 points of full fine-tuning",
        rule="R-033",
        alternatives=(otherwise("pfeiffer", "behind the MLP only: half as many parameters, about as good there"),),
        flips_when="methods.pin.placement is given",
    )
