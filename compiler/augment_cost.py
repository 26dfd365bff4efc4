"""What augment stages take: calls of a teacher, their tokens, and seconds on the clock.

A model on this machine reads and writes at the device's rates, eight questions at a time. What an endpoint does in a
second nobody knows before: the range says so, from a busy server to a fast one. Recorded calls cost nothing.
"""

from dataclasses import dataclass
from functools import cached_property

from fewtune.compiler.arm import Augmented, Precision
from fewtune.compiler.augmenting import LABELLED, PER_CALL, PER_CALL_SMALL, gated, questions
from fewtune.compiler.cost import HIGH, LOW, encoding_seconds, scoring_seconds, writing_seconds
from fewtune.compiler.facts import Linear, ModelFacts
from fewtune.compiler.plan import Level
from fewtune.compiler.price import Range
from fewtune.compiler.situation import Situation
from fewtune.specs.model import EMBEDDED

SHOWN = 6
"""Examples in a question at most: of the label, and of others."""
FIXED_TOKENS = 150
"""Tokens of a question beside the examples that it shows: 366 to 423 were read with four clauses of a news report."""
LABEL_TOKENS = 60
"""Tokens of a question for a label beside its text, the answer included."""
TOGETHER = 8
"""Questions of a round, which a model on this machine answers together."""
AGAIN = 1.2, 4.0
"""Calls for each one that should be enough: usually, since some answers cannot be read, and at most."""
ENDPOINT_RATES = 200.0, 50.0, 10.0
"""Tokens a second that an endpoint writes to one connection: fast, usual, slow; a guess."""
ENDPOINT_WAIT = 0.2, 0.7, 3.0
"""Seconds before its first token, likewise."""
SETUP = 6.0
"""Seconds of a stage with a model on this machine for loading it; and of cross-fitted classifiers."""
CHECKED = 1.0
"""Seconds of analysis and filter beside the encoder."""
WORDS = 0.6
"""Different words for each token of the examples, whose neighbours the encoder finds for changed copies."""
WRITER = ModelFacts(
    place=EMBEDDED, source="embedded", architecture="llama", weights_hash="", tokenizer_hash="", parameters=134_515_008,
    embedding_parameters=28_311_552, hidden=576, layers=30, heads=9, kv_heads=3, intermediate=1536, vocabulary=49_152,
    max_positions=8192, tied=True, instruct=True, stored_bytes=0, word_tokens={}, pattern_tokens={},
    linears=(
        Linear(name="attention", d_in=576, d_out=1536, count=30), Linear(name="mlp", d_in=576, d_out=4608, count=30),
    ),
)  # fmt: skip
"""The embedded model's shape; its four products of attention as one, and the three of its MLP."""


@dataclass(frozen=True)
class AugmentCost:
    """Predicts the stages of one plan."""

    situation: Situation

    @cached_property
    def _text(self) -> float:
        """Mean tokens of an example."""
        lengths = self.situation.lengths
        return sum(lengths) / max(1, len(lengths))

    @property
    def _replayed(self) -> bool:
        asked = self.situation.experiment.augmentation
        return asked is not None and asked.teacher is not None and asked.teacher.recording is not None

    @property
    def _local(self) -> bool:
        asked = self.situation.experiment.augmentation
        return asked is not None and asked.teacher is not None and asked.teacher.is_embedded

    def calls(self, made: Augmented, level: Level) -> int:
        """Questions for examples that should be enough."""
        asked = self.situation.experiment.augmentation
        return questions(self.situation, asked, made.level(level.n).target) if asked else 0

    def tokens(self, made: Augmented, level: Level) -> Range:
        """Tokens that a teacher reads and writes for one sample; within the sample's share of a ceiling."""
        if made.source != "teacher" or self._replayed:
            return Range(low=0, mid=0, high=0)
        calls, most = self.calls(made, level), made.level(level.n).max_tokens
        each = self._asked(level) + self._answered
        labelled = self._labelled(level) * (LABEL_TOKENS + self._text)
        low, mid, high = (
            times * calls * each * spread + labelled
            for times, spread in zip((1.0, *AGAIN), (LOW, 1.0, HIGH), strict=True)
        )
        found = [round(amount if most is None else min(amount, most)) for amount in (low, mid, high)]
        return Range(low=found[0], mid=found[1], high=found[2])

    def seconds(self, made: Augmented, level: Level) -> Range:
        """Seconds of one stage."""
        device = self.situation.facts.device
        if made.source == "eda":
            return _around(CHECKED + encoding_seconds(device, WORDS * level.train * self._text))
        written = made.level(level.n).target
        checks = CHECKED + encoding_seconds(device, (level.train + written) * self._text) if written else 0.0
        if self._replayed or not written:
            return _around(checks)
        found = self._here(made, level) if self._local else self._elsewhere(made, level)
        part = self._allowed(made, level)
        low, mid, high = (share * amount for share, amount in zip(part, found, strict=True))
        return Range(low=round(LOW * checks + low, 3), mid=round(checks + mid, 3), high=round(HIGH * checks + high, 3))

    def _allowed(self, made: Augmented, level: Level) -> tuple[float, float, float]:
        """Shares of (low, mid, high) that a ceiling in tokens leaves."""
        free = made.model_copy(
            update={"levels": tuple(one.model_copy(update={"max_tokens": None}) for one in made.levels)}
        )
        bound, whole = self.tokens(made, level), self.tokens(free, level)
        return bound.low / whole.low, bound.mid / whole.mid, bound.high / whole.high

    def _asked(self, level: Level) -> float:
        """Tokens of a question for examples."""
        return FIXED_TOKENS + min(SHOWN, level.train) * self._text

    @property
    def _answered(self) -> float:
        """Tokens of its answer."""
        return (PER_CALL_SMALL if self._local else PER_CALL) * self._text

    def _labelled(self, level: Level) -> int:
        """Examples that a teacher labels, where its gate asks for that."""
        return min(LABELLED, level.train) if gated(self.situation) else 0

    def _here(self, made: Augmented, level: Level) -> tuple[float, float, float]:
        """(low, mid, high) seconds of a model on this machine, in fp32 on a processor."""
        device, calls = self.situation.facts.device, self.calls(made, level)
        precision: Precision = "fp32" if device.kind == "cpu" else "bf16"
        read = calls * self._asked(level)
        labelled = self._labelled(level) * (LABEL_TOKENS + self._text)
        rounds, rest = divmod(calls, TOGETHER)
        wrote = rounds * writing_seconds(WRITER, device, precision, TOGETHER, self._answered)
        wrote += writing_seconds(WRITER, device, precision, rest, self._answered) if rest else 0.0
        work = scoring_seconds(WRITER, device, precision, read) + wrote
        gate = scoring_seconds(WRITER, device, precision, labelled) if labelled else 0.0
        usual, most = AGAIN
        return LOW * (SETUP + gate + work), SETUP + gate + usual * work, HIGH * (SETUP + gate + most * work)

    def _elsewhere(self, made: Augmented, level: Level) -> tuple[float, float, float]:
        """The same of an endpoint: each connection waits and is written to; a limit on requests holds back all."""
        asked = self.situation.experiment.augmentation
        assert asked is not None
        assert asked.teacher is not None
        teacher, calls, gate = asked.teacher, self.calls(made, level), self._labelled(level)
        found = []
        for times, rate, wait in zip((1.0, *AGAIN), ENDPOINT_RATES, ENDPOINT_WAIT, strict=True):
            lines = max(1, min(teacher.concurrency, TOGETHER, calls))
            busy = (times * calls * (wait + self._answered / rate) + gate * (wait + 10 / rate)) / lines
            held = 60.0 * (times * calls + gate) / teacher.per_minute if teacher.per_minute else 0.0
            found.append(max(busy, held))
        return found[0], found[1], found[2]


def _around(seconds: float) -> Range:
    return Range(low=round(LOW * seconds, 3), mid=round(seconds, 3), high=round(HIGH * seconds, 3))
