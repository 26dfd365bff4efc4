"""QLoRA (arXiv 2305.14314): LoRA; that the base is held in four bits is the base's business."""

from fewtune.runtime.train.adaptations.lora import KIND

__all__ = ["KIND"]
