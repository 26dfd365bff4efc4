"""JSON Schema of the language, with the models' own sentences as descriptions."""

import ast
import inspect
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from fewtune.specs.experiment import SPEC_VERSION, Experiment
from fewtune.specs.tables import models_in

SCHEMA_ID = f"https://fewtune.dev/schema/spec-{SPEC_VERSION}.json"


def json_schema() -> dict[str, Any]:
    """The language as JSON Schema 2020-12."""
    schema = described_schema()
    _allow_short_sources(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}


def described_schema() -> dict[str, Any]:
    """The models' own schema with their sentences: a source is a table there, and a list is a list."""
    schema = Experiment.model_json_schema(mode="validation")
    for model in _allmodels_in(Experiment):
        target = schema if model is Experiment else schema["$defs"][model.__name__]
        for name, sentence in attribute_docs(model).items():
            if name in target.get("properties", {}):
                target["properties"][name]["description"] = sentence
    return schema


def _allow_short_sources(schema: dict[str, Any]) -> None:
    """A path alone is a source; a single value is a list of one."""
    data = schema["$defs"]["Data"]["properties"]
    source = {"$ref": "#/$defs/Source"}
    path = next(branch for branch in schema["$defs"]["Source"]["properties"]["path"]["anyOf"] if "pattern" in branch)
    short = {"anyOf": [path, source]}
    for name in ("train", "validation", "test", "unlabelled", "replay"):
        nullable = [{"type": "null"}] if name != "train" else []
        data[name] = {"anyOf": [*short["anyOf"], *nullable], "description": data[name].get("description", name)}
    for name in data["ood"].get("patternProperties", {}):
        data["ood"]["patternProperties"][name] = short
    data["ood"]["additionalProperties"] = False
    for definition in ("Pins", "ArmPin"):
        for field in schema["$defs"][definition]["properties"].values():
            for branch in list(field.get("anyOf", ())):
                if branch.get("type") == "array" and "items" in branch:
                    field["anyOf"].insert(0, branch["items"])


def _allmodels_in(model: type[BaseModel]) -> set[type[BaseModel]]:
    inner = {found for field in model.model_fields.values() for found in models_in(field.annotation)}
    return {model}.union(*(_allmodels_in(found) for found in inner))


@cache
def attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the sentence that follows it in the source, base classes included."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base.__module__.startswith("fewtune."):
            docs |= _own_docs(base)
    return docs


def _own_docs(model: type[BaseModel]) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(model))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    docs = {}
    for field, sentence in pairwise(body):
        named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if named and isinstance(sentence, ast.Expr) and isinstance(sentence.value, ast.Constant):
            docs[field.target.id] = inspect.cleandoc(str(sentence.value.value)).replace("\n", " ")  # type: ignore[attr-defined]
    return docs
