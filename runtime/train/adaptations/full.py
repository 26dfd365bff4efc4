"""Full fine-tuning: every parameter moves."""

from fewtune.runtime.train.adaptations.own import Own

KIND = Own(lambda name, parameter, arm, blocks: True)
