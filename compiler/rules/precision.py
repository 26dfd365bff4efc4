"""In which arithmetic the base model runs."""

from fewtune.compiler.situation import Choice, Situation, otherwise


def precision(s: Situation) -> Choice:
    """bf16 where the device multiplies it in hardware, else fp32; adapters and optimizer are fp32 in either case."""
    device = s.facts.device
    if device.bf16:
        return Choice(
            value="bf16",
            because=f"{device.name} multiplies bf16 in hardware; adapters and optimizer stay fp32",
            rule="M-003" if device.kind == "cpu" else "R-146",
            alternatives=(otherwise("fp32", "about half the speed; for bit-exact comparisons", "M-003"),),
            flips_when="a device without bf16 products",
        )
    return Choice(
        value="fp32",
        because=f"{device.name} has no bf16 products: emulating them is slower",
        rule="fact",
        alternatives=(otherwise("bf16", "emulated on this device"),),
        flips_when="a device with bf16 products",
    )
