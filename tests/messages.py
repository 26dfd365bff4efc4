"""Messages to a parcel service, as a teacher would write them: what the tests of augmentation are about."""

import json
import random
import re
from collections.abc import Mapping
from typing import Any

from fewtune.runtime.augment.example import Seed

LABELS = ("complaint", "praise", "question")
TASK = "What is a message to a parcel service: a complaint, praise, or a question?"
PLACES = ("depot", "shop", "neighbour", "office", "locker", "garage", "porch", "reception", "school", "bakery")
THINGS = ("lamp", "coat", "kettle", "mirror", "printer", "violin", "blanket", "camera", "helmet", "teapot", "drill")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
FRAMES: Mapping[str, tuple[str, ...]] = {
    "complaint": (
        "My {thing} arrived broken on {day} and nobody at the {place} wants to be responsible.",
        "For the third {day} running the driver left my {thing} in the rain behind the {place}.",
        "I am angry: the {thing} was marked as delivered to the {place}, but it is not there since {day}.",
        "The box with the {thing} was torn open, and the {place} refuses a refund until {day}.",
    ),
    "praise": (
        "Thank you to the kind driver who carried the heavy {thing} up to the {place} on {day}.",
        "Great service: my {thing} came a day early and the {place} wrapped it beautifully on {day}.",
        "I am delighted with how carefully the {place} handled the old {thing} last {day}.",
        "What a pleasure, the {thing} was at the {place} on {day} just as your friendly staff promised.",
    ),
    "question": (
        "Can I send a {thing} to the {place} so that it is there before {day}?",
        "How much would insurance for a {thing} cost if the {place} collects it on {day}?",
        "Is the {place} open on {day}, and may my sister pick up the {thing} for me?",
        "Do I need the original box to return a {thing} at the {place} by {day}?",
    ),
}


def message(label: str, source: random.Random) -> str:
    """A message of this kind."""
    frame = source.choice(FRAMES[label])
    return frame.format(thing=source.choice(THINGS), place=source.choice(PLACES), day=source.choice(DAYS))


def seeds(count: int = 12, seed: int = 7) -> list[Seed]:
    """Labelled messages, as many of each kind."""
    source = random.Random(seed)
    kinds = [place % len(LABELS) for place in range(count)]
    return [Seed(fields={"text": message(LABELS[kind], source)}, label=kind) for kind in kinds]


def written(request: Mapping[str, Any]) -> str:
    """A teacher's answer to a request for examples, or for a label: the same for the same request."""
    user = request["messages"][-1]["content"]
    source = random.Random(user + str(request["seed"]))
    asked = re.search(r"Write (\d+) new examples of the label '(\w+)'", user)
    if asked is None:
        text = re.search(r"Text: (.*)", user)
        return json.dumps({"label": _kind(text.group(1) if text else "")})
    return json.dumps({"examples": [message(asked.group(2), source) for _ in range(int(asked.group(1)))]})


def _kind(text: str) -> str:
    return (
        "question"
        if text.endswith("?")
        else "praise"
        if re.search("Thank|Great|delight|pleasure", text)
        else "complaint"
    )
