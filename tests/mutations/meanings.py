"""Faults that every type takes: branches, identifiers, contradictions, resources, secrets, paths."""

from random import Random
from typing import Any

from mutations import clues
from mutations.fault import Fault, Parts, Spec, drop, get, leaves, pointer, put
from mutations.keys import typo

WRITTEN = ("summarisation", "question-answering", "generation", "preference")
COLUMNS = ("text", "label", "target", "premise", "hypothesis", "context", "question", "rejected")


def _task(spec: Spec) -> str:
    return str(get(spec.good, ("task", "type")))


def _set(spec: Spec, kind: str, parts: Parts, value: Any, *others: Parts, detail: str = "",
         lost: str = "") -> Fault | None:  # fmt: skip
    """Put a value where none stood; None where one stands, or nothing can."""
    at: Any = spec.bad
    for part in parts[:-1]:
        at = at.get(part, {}) if isinstance(at, dict) else at[part] if isinstance(at, list) else None
    if not isinstance(at, dict) or parts[-1] in at:
        return None
    put(spec.bad, parts, value)
    return Fault(kind, (pointer(parts), *map(pointer, others)), None, detail or repr(value)[:50], lost=lost)


def wrong_tag(chance: Random, spec: Spec) -> Fault | None:
    """A task of other columns, or a method that gives another kind of answer."""
    arms = [p for p, v in leaves(spec.bad) if p[-1] == "method" and isinstance(v, str) and "+" in v]
    if arms and chance.random() < 0.5:
        parts = chance.choice(arms)
        was = get(spec.bad, parts)
        wrong = "pattern" if _task(spec) in WRITTEN else "generate"
        adaptation = was.partition("+")[2]
        put(spec.bad, parts, f"{wrong}+{adaptation}")
        return Fault("wrong union tag", (pointer(parts),), was, f"{was} as {wrong}+{adaptation}")
    was, parts = _task(spec), ("task", "type")
    if get(spec.bad, parts) != was:
        return None
    others = {
        "classification": ("pair-classification", "summarisation"), "pair-classification": ("classification",),
        "question-answering": ("classification", "summarisation"), "summarisation": ("classification",),
        "generation": ("classification", "question-answering"), "multi-label": ("generation", "pair-classification"),
        "sequence-labelling": ("generation", "pair-classification"), "preference": ("classification",),
    }  # fmt: skip
    put(spec.bad, parts, chance.choice(others[was]))
    return Fault("wrong union tag", ("/task/type",), was, f"{was} as {get(spec.bad, parts)}")


def foreign_field(chance: Random, spec: Spec) -> Fault | None:
    task, options = _task(spec), list[tuple[Parts, Any]]()
    if task in WRITTEN:
        options += [(("task", "question"), "What is asked for?"), (("data", "label_noise"), 0.1)]
        if task != "preference":
            options += [(("data", "label"), "label"), (("data", "rejected"), "worse")]
    else:
        options += [(("task", "instruction"), "Say what it is."), (("data", "target"), "answer"),
                    (("data", "context"), "context")]  # fmt: skip
    if task in ("classification", "multi-label", "sequence-labelling"):
        options += [(("data", "premise"), "premise"), (("data", "hypothesis"), "hypothesis")]
    if task != "preference":
        options += [(("methods", "pin", "odds_weight"), 0.5), (("methods", "pin", "reward_margin"), 1.0)]
    if not any("prefix" in str(v) or "prompt" in str(v) for _, v in leaves(spec.good)):
        options.append((("methods", "pin", "virtual_tokens"), 10))
    if not any("adapter" in str(v) for _, v in leaves(spec.good)):
        options.append((("methods", "pin", "placement"), "houlsby"))
    if get(spec.good, ("model", "path")) is None:
        options.append((("model", "revision"), "main"))
    train = get(spec.bad, ("data", "train"))
    if isinstance(train, (str, dict)):
        options.append((("data", "train", chance.choice(["split", "config"])), "default"))
    parts, value = chance.choice(options)
    if parts[:2] == ("data", "train") and isinstance(train, str):
        put(spec.bad, ("data", "train"), {"path": train})
    return _set(spec, "field of another branch", parts, value)


def unknown_id(chance: Random, spec: Spec) -> Fault | None:
    """A file, folder, column or label that is not there, beside one that is."""
    files = [(p, v) for p, v in leaves(spec.bad) if _is_file(p, v)]
    named = [(p, v) for p, v in leaves(spec.bad) if len(p) == 2 and p[0] == "data" and isinstance(v, str)]
    named = [(p, v) for p, v in named if p[1] in COLUMNS]
    if named and chance.random() < 0.35:
        parts, was = chance.choice(named)
        wrong = chance.choice([typo(chance, was), was.capitalize(), was + "s", was.upper()])
    elif files:
        parts, was = chance.choice(files)
        stem, dot, ending = was.rpartition(".") if "." in was else (was, "", "")
        folder, slash, last = stem.rpartition("/")
        wrong = chance.choice([
            f"{folder}{slash}{typo(chance, last)}{dot}{ending}", f"{last}{dot}{ending}", f"data/{was}",
            f"{stem}{dot}{'tsv' if ending == 'csv' else 'json'}" if dot else f"{was}-model", was.upper(),
            was.replace("/", "\\"), f"{typo(chance, folder)}{slash}{last}{dot}{ending}",
        ])  # fmt: skip
    else:
        return None
    if wrong == was:
        return None
    put(spec.bad, parts, wrong)
    return Fault("unknown id", (pointer(parts),), was, f"{was} as {wrong}")


def _is_file(parts: Parts, value: Any) -> bool:
    return isinstance(value, str) and (value.endswith((".csv", ".jsonl")) or parts == ("model", "path"))


def unknown_model(chance: Random, spec: Spec) -> Fault | None:
    path: Parts = ("model", "path")
    if get(spec.good, path) is not None or get(spec.bad, path) is not None:
        return None
    if not isinstance(get(spec.bad, ("model",)), (dict, type(None))):
        return None
    was = "smollm2-135m-instruct"
    spec.plant(("model", "name"), was)
    put(
        spec.bad,
        ("model", "name"),
        chance.choice([typo(chance, was), "smollm2-135m", "SmolLM2-135M-Instruct", "smollm2"]),
    )
    return Fault("unknown model", ("/model/name",), was, str(get(spec.bad, ("model", "name"))))


def conflict(chance: Random, spec: Spec) -> Fault | None:
    task, has_test = _task(spec), get(spec.good, ("data", "test")) is not None
    held = get(spec.good, ("evaluation", "validation"))
    choices: list[tuple[Parts, Any, tuple[Parts, ...]]] = [
        (("constraints", "ood"), True, (("data", "ood"),)),
        (("evaluation", "metric"), "rouge_l" if task not in WRITTEN or task == "preference" else "accuracy", ()),
        (("methods", "exclude"), ["majority"], (("methods", "include"), ("methods",))),
        (("methods", "pin", "epochs"), [2], (("methods", "pin", "steps"), ("methods", "pin"))),
        (("data", "ood", "test"), get(spec.good, ("data", "test")) or "legal/test.csv", (("data", "ood"),)),
        (("task", "patterns"), ["minimal", "minimal"], ()),
    ]
    if has_test:
        choices.append((("evaluation", "folds"), 5, (("data", "test"),)))
    if held == "fixed-schedule":
        choices.append((("evaluation", "validation_fraction"), 0.2, (("evaluation", "validation"),)))
    if isinstance(get(spec.good, ("methods", "pin", "warmup_ratio")), float):
        put(spec.bad, ("methods", "pin", "warmup_ratio"), 1.0)
        return Fault("cross-field conflict", ("/methods/pin/warmup_ratio",), 0.1, "warms up to the end")
    rows = get(spec.bad, ("data", "train", "rows"))
    if isinstance(rows, str) and "-" in rows and chance.random() < 0.6:
        put(spec.bad, ("data", "train", "rows"), "-".join(reversed(rows.split("-"))))
        return Fault("cross-field conflict", ("/data/train/rows",), rows, "rows backwards")
    sizes = get(spec.bad, ("data", "label_budget"))
    if isinstance(sizes, list) and chance.random() < 0.6:
        put(spec.bad, ("data", "label_budget"), sizes[::-1])
        return Fault("cross-field conflict", ("/data/label_budget",), sizes, "a falling curve")
    arms = get(spec.bad, ("methods", "arms"))
    if isinstance(arms, list) and len(arms) > 1 and chance.random() < 0.4 and all(isinstance(a, dict) for a in arms):
        was = [arm.get("name") for arm in arms]
        arms[0]["name"] = arms[1]["name"] = was[0] or was[1] or "mine"
        return Fault("cross-field conflict", ("/methods/arms/1/name", "/methods/arms", "/methods/arms/0/name"), was,
                     "one name twice")  # fmt: skip
    parts, value, others = chance.choice(choices)
    if parts == ("methods", "exclude"):
        if not isinstance(get(spec.bad, ("methods", "include")), (list, type(None))):
            return None
        if get(spec.bad, ("methods", "include")) is None:
            spec.plant(("methods", "include"), ["zero-shot" if task in WRITTEN else "majority"])
        value = [get(spec.bad, ("methods", "include"))[0]]
    if parts[-1] == "epochs" and get(spec.bad, ("methods", "pin", "steps")) is None:
        return None
    if parts[-1] == "ood" and get(spec.good, ("data", "ood")) is not None:
        return None
    return _set(spec, "cross-field conflict", parts, value, *others, lost=clues.of_conflict(parts))


def memory(chance: Random, spec: Spec) -> Fault | None:
    limit: Parts = ("constraints", "gpu_memory")
    if not isinstance(get(spec.bad, ("constraints",)), (dict, type(None))):
        return None
    if get(spec.bad, limit) is not None:
        drop(spec.bad, limit)
    arms = tuple(("methods", "arms", index) for index in range(len(get(spec.bad, ("methods", "arms")) or ())))
    return _set(
        spec,
        "infeasible memory",
        limit,
        chance.choice(["4 MB", "1 MB", "900 kB"]),
        ("model",),
        ("methods", "include"),
        *arms,
        lost="a limit may not be raised, and no smaller model may be named",
    )


def budget(chance: Random, spec: Spec) -> Fault | None:
    name, value = chance.choice([("wall_time", "5 s"), ("trials", 1), ("disk", "1 kB"), ("wall_time", "800 ms")])
    if not isinstance(get(spec.bad, ("constraints",)), (dict, type(None))):
        return None
    if get(spec.bad, ("constraints", name)) is not None:
        drop(spec.bad, ("constraints", name))
    return _set(spec, "budget excess", ("constraints", name), value,
                lost="a limit may not be raised, and what the rules added is cut already")  # fmt: skip


def sweep(chance: Random, spec: Spec) -> Fault | None:
    pin: Parts = ("methods", "pin")
    if not isinstance(get(spec.bad, pin), (dict, type(None))) or not isinstance(
        get(spec.bad, ("methods",)), (dict, type(None))
    ):
        return None
    lists = {"steps": list(range(20, 70)), "batch_size": list(range(1, 51)),
             "learning_rate": [round(1e-5 * (index + 1), 6) for index in range(50)]}  # fmt: skip
    was = get(spec.bad, pin)
    for name, values in lists.items():
        put(spec.bad, (*pin, name), values)
    places = (*(pointer((*pin, name)) for name in lists), "/methods/arms", "/methods/pin", "/evaluation/data_seeds")
    return Fault("sweep explosion", places, was, "50 x 50 x 50", lost="values would be lost")


TOKENS = ("hf_QwErTyUiOpAsDfGhJkLzXcVbNm12345678", "sk-proj-Ab12Cd34Ef56Gh78Ij90Kl12Mn34Op56Qr78",
          "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8", "AKIAIOSFODNN7EXAMPLE")  # fmt: skip


def secret(chance: Random, spec: Spec) -> Fault | None:
    """Tokens in free texts, in settings and under keys of their own; none of them is anybody's."""
    token = chance.choice(TOKENS)
    parts, value = chance.choice([
        (("notes",), f"Use {token} to fetch the model."), (("tags",), ["study", token]), (("token",), token),
        (("title",), f"Run with {token}"), (("model", "hf_token"), token), (("model", "revision"), token),
        (("api_key",), token),
    ])  # fmt: skip
    if get(spec.bad, parts) is not None:
        drop(spec.bad, parts)
    found = _set(spec, "secret", parts, value, detail="a token")
    return Fault(found.kind, ("/tags/1",), None, found.detail) if found and parts == ("tags",) else found


def path_escape(chance: Random, spec: Spec) -> Fault | None:
    files = [(p, v) for p, v in leaves(spec.bad) if _is_file(p, v)]
    if not files:
        return None
    parts, was = chance.choice(files)
    wrong = chance.choice([
        f"../{was}", f"../../etc/{was}", f"/srv/data/{was}", "/etc/passwd", f"~/{was}", f"file:///srv/{was}",
        f"legal/../../{was}", f"$HOME/{was}", f"C:\\data\\{was}", f"https://example.org/{was}", f"%2e%2e/{was}",
    ])  # fmt: skip
    put(spec.bad, parts, wrong)
    lost = "another file is named, which may not be read" if wrong == "/etc/passwd" else ""
    return Fault("path escape", (pointer(parts),), was, wrong, lost=lost)
