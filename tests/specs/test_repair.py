"""Faulty specs are answered at once and mended: a sample of the corpus against the figures that are promised."""

import json
import tomllib
from pathlib import Path

import pytest
from mutations.cases import case
from mutations.judging import Judged, judge
from mutations.seeds import SEEDS, write_files
from mutations.writing import text

from fewtune.api.checking import check, findings
from fewtune.api.given import Given
from fewtune.specs.diagnostic import CODES, Diagnostic
from fewtune.specs.examine import examine
from fewtune.specs.model import EMBEDDED
from fewtune.specs.parse import Format
from fewtune.specs.patch import apply_patches
from fewtune.specs.recovery import recover
from fewtune.specs.repairs.fixing import at
from fewtune.specs.rewrite import rewritten


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("specs"))


@pytest.fixture(scope="module", params=[24, pytest.param(3000, marks=pytest.mark.full)])
def judged(request: pytest.FixtureRequest, base: Path) -> list[Judged]:
    return [judge(case(number), base) for number in range(20_000, 20_000 + request.param)]


def test_the_first_answer_has_every_fault(judged: list[Judged]) -> None:
    hits = [hit for one in judged for hit in one.found]
    assert sum(hits) >= 0.95 * len(hits)
    assert sum(hits) > 1.5 * sum(hit for one in judged for hit in one.pydantic)


def test_the_answer_says_little_else(judged: list[Judged]) -> None:
    assert sum(one.diagnostics for one in judged) <= 1.3 * sum(len(one.case.faults) for one in judged)


def test_fixes_apply_and_ask_for_no_more(judged: list[Judged]) -> None:
    assert sum(one.fixes for one in judged) > len(judged) / 2
    assert not sum(one.unclean for one in judged)
    assert not [one.widened for one in judged if one.widened]


def test_what_may_be_mended_is_mended(judged: list[Judged]) -> None:
    """Floors a case or two below what the sample has; the committed table has the shares of many."""
    open_ones = [one for one in judged if all(fault.mendable for fault in one.case.faults)]
    assert len(open_ones) > len(judged) / 2
    assert sum(one.repaired[0] for one in open_ones) >= 0.9 * len(open_ones)
    assert sum(one.repaired[1] for one in open_ones) >= 0.93 * len(open_ones)
    assert sum(one.restored for one in open_ones) >= 0.65 * len(open_ones)


@pytest.mark.parametrize("title", list(SEEDS)[::4])
def test_nothing_is_said_against_a_valid_spec(title: str, base: Path) -> None:
    for form in ("toml", "json"):
        found = findings(text(SEEDS[title], form).encode(), form, base)  # type: ignore[arg-type]
        assert not [one for one in found if one.severity == "error"]


SYNTAX: dict[str, tuple[str, str, str]] = {
    "a comma": ("toml", "a = 1,\nb = 2\n", "a = 1\nb = 2\n"),
    "a semicolon": ("toml", "a = 1;\n", "a = 1\n"),
    "a colon": ("toml", "a: 1\n", "a = 1\n"),
    "no quotes": ("toml", "a = some words # why\n", 'a = "some words" # why\n'),
    "an open header": ("toml", "[a\nb = 1\n", "[a]\nb = 1\n"),
    "an open list": ("toml", "a = [1, 2\nb = 3\n", "a = [1, 2]\nb = 3\n"),
    "another comment": ("toml", "// why\na = 1\n", "# // why\na = 1\n"),
    "a table on lines": ("toml", "a = {\n  b = 1,\n  c = 2\n}\n", "a = { b = 1, c = 2 }\n"),
    "a null": ("toml", "a = null\nb = 1\n", "b = 1\n"),
    "True": ("toml", "a = True\n", "a = true\n"),
    "a code block": ("toml", "```toml\na = 1\n```\n", "a = 1\n"),
    "JSON's last comma": ("json", '{"a": [1, 2,],}', '{"a": [1, 2]}'),
    "JSON with comments": ("json", '{"a": 1 // why\n}', '{"a": 1 \n}'),
    "JSON in single quotes": ("json", "{'a': 'b'}", '{"a": "b"}'),
    "JSON of Python": ("json", '{"a": True, \n"b": None}', '{"a": true, \n"b": null}'),
    "JSON cut off": ("json", '{"a": {"b": [1, 2', '{"a": {"b": [1, 2\n]\n}\n}'),
    "JSON without a comma": ("json", '{"a": 1\n"b": 2}', '{"a": 1,\n"b": 2}'),
    "said twice": ("json", '{\n"a": 1,\n"a": 1,\n"b": 2}', '{\n"a": 1,\n"b": 2}'),
}  # fmt: skip


@pytest.mark.parametrize("title", SYNTAX)
def test_damaged_text_is_read_and_mended(title: str) -> None:
    form, given, wanted = SYNTAX[title]
    read = recover(given.encode(), form)  # type: ignore[arg-type]
    sound = tomllib.loads(wanted) if form == "toml" else json.loads(wanted)
    assert read.faults
    assert read.document is not None
    assert read.document.tree == sound
    syntax = [one for one in examine(given.encode(), form).found if one.code in ("E-syntax", "E-duplicate-key")]  # type: ignore[arg-type]
    assert rewritten(given.encode(), form, syntax) == wanted  # type: ignore[arg-type]


FAULTY = """\
# one study
spec_version = 1
name = "clauses" # short

[task]
type = "clasification" # what it is

[data]
train = "legal/trian.csv" # the pool
test = "legal/test.csv"
text_column = "clause"
label = "typ"
data_seeds = 3 # misplaced

[constraints]
gpu_memory = 8 # a laptop
"""


def test_comments_stay(base: Path) -> None:
    checked = check(Given(FAULTY.encode(), "spec.toml", base, "toml"), fix=True)
    assert checked.fixed is not None
    for comment in ("# one study", "# short", "# what it is", "# the pool", "# a laptop"):
        assert comment in checked.fixed
    assert not [one for one in checked.left if one.severity == "error"]
    assert not [one for one in findings(checked.fixed.encode(), "toml", base) if one.severity == "error"]


def test_toml_and_json_are_answered_alike(base: Path) -> None:
    tree = tomllib.loads(FAULTY)

    def said(found: tuple[Diagnostic, ...]) -> set[tuple[str, str, str]]:
        return {(one.code, one.pointer, one.message) for one in found}

    assert said(findings(FAULTY.encode(), "toml", base)) == said(findings(json.dumps(tree).encode(), "json", base))


TOKEN = "hf_" + "Ab1" * 10
SECRETS = {
    "in the notes": f'notes = "use {TOKEN} for it"\n',
    "as a tag": f'tags = ["{TOKEN}"]\n',
    "under a key": f'hf_token = "{TOKEN}"\n',
    "as a key": f'{TOKEN} = "x"\n',
    "without quotes": f"title = {TOKEN}\n",
    "as a file": f'[data.ood]\n"{TOKEN}" = "x.csv"\n',
    "as a version": f'name = "{TOKEN}/x"\n',
    "twice": f'notes = "{TOKEN}"\nnotes = "{TOKEN}"\n',
}


@pytest.mark.parametrize("title", SECRETS)
def test_a_token_is_refused_and_never_repeated(title: str, base: Path) -> None:
    head, tables = FAULTY.partition("\n\n")[::2]
    content = f"{head.partition('name')[0]}{SECRETS[title]}\n{tables}"
    found = findings(content.encode(), "toml", base)
    assert any(one.severity == "error" for one in found)
    assert TOKEN not in "".join(one.model_dump_json() for one in found)
    if title not in ("as a key",):
        assert "E-secret" in {one.code for one in found}


def test_every_code_is_known(judged: list[Judged]) -> None:
    assert {finding.code for one in judged for finding in one.answer} <= CODES.keys()


SOUND = """\
spec_version = 1
task.type = "classification"
[data]
train = "legal/train.csv"
test = "legal/test.csv"
text = "clause"
label = "type"
"""
NAMES = {
    "smollm2": "likely", "SmolLM2-135M-Instruct": "likely", "smollm2-135m-intsruct": "likely",
    "smollm2-360m-instruct": "choose", "smollm2-1.7b-instruct": "choose", "gpt2": None, "sm": None,
    "HuggingFaceTB/SmolLM2-360M-Instruct": None,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_near_name_of_a_model_that_is_here(name: str, base: Path) -> None:
    """One of another size is another model, not a slip."""
    content = f'{SOUND}[model]\nname = "{name}"\n'.encode()
    found = [one for one in findings(content, "toml", base) if one.code == "E-facts-missing"]
    assert [fix.applicability for one in found for fix in one.fixes] == ([NAMES[name]] if NAMES[name] else [])
    mended = rewritten(content, "toml", found)
    assert (mended is not None and '"smollm2-135m-instruct"' in mended) == (NAMES[name] == "likely")


ASIDE = {
    "a key that nothing reads": ('api_key = "{}"', "api_key"),
    "one of a table": ('model = {{ hf_token = "{}" }}', "model.hf_token"),
    "a version": ('model = {{ name = "owner/name", revision = "{}" }}', "model.revision"),
}


@pytest.mark.parametrize("title", ASIDE)
def test_a_token_that_nothing_reads_is_set_aside(title: str, base: Path) -> None:
    line, name = ASIDE[title]
    content = f"{line.format(TOKEN)}\n{SOUND}".encode()
    text = rewritten(content, "toml", findings(content, "toml", base))
    assert text is not None
    assert TOKEN not in text
    assert f"set aside: {name} = [secret]" in tomllib.loads(text)["notes"]


KEPT = {
    "a file of an address": ('test = "legal/test.csv"', 'test = "https://me:password123@example.org/test.csv"'),
    "the model's name": ("[data]", f'[model]\nname = "{TOKEN}"\n[data]'),
}


@pytest.mark.parametrize("title", KEPT)
def test_what_means_something_is_not_set_aside(title: str, base: Path) -> None:
    content = SOUND.replace(*KEPT[title]).encode()
    found = [one for one in findings(content, "toml", base) if one.code == "E-secret"]
    assert found
    assert all(fix.applicability == "choose" for one in found for fix in one.fixes)


def test_a_source_without_a_place_is_the_file_beside(base: Path) -> None:
    content = SOUND.replace('"legal/test.csv"', '{ rows = "1-20" }').encode()
    text = rewritten(content, "toml", findings(content, "toml", base))
    assert text is not None
    assert tomllib.loads(text)["data"]["test"] == {"rows": "1-20", "path": "legal/test.csv"}


MEANT: dict[str, tuple[str, str, str, object]] = {
    "a list of one word": ('[data]', '[data]\nlabel_budget = ["all"]', "/data/label_budget", "all"),
    "an empty table": ('[data]', '[data]\nlabel_budget = {}', "/data/label_budget", None),
    "a budget beyond all": ('[data]', '[data]\nlabel_budget = 1000000000', "/data/label_budget", "all"),
    "a number for a file": ('test = "legal/test.csv"', "test = 3", "/data/test", "legal/test.csv"),
    "a name for a path": ('"legal/test.csv"', '{ name = "legal/test.csv" }', "/data/test/path", "legal/test.csv"),
    "one file for several": ('[data]', '[data]\nood = "legal/german.csv"', "/data/ood/german", "legal/german.csv"),
    "a word for a task": ('task.type = "classification"', 'task = true', "/task/type", "classification"),
    "a file of a near key": ('test =', 'tets =', "/data/test", "legal/test.csv"),
    "a word of another table": ('[data]', '[methods]\nvalidation = "held-out"\n[data]', "/evaluation/validation",
                                "held-out"),
    "a slip of the size": ('[data]', '[model]\nname = "smollm2-153m-instruct"\n[data]', "/model/name",
                           "smollm2-135m-instruct"),
    "a limit without an end": ('[data]', '[constraints]\ntrials = inf\n[data]', "/constraints/trials", None),
    "a file beside one elsewhere": ('train = "legal/train.csv"\ntest = "', 'train = 3\ntest = "$HOME/', "/data/train",
                                    "legal/train.csv"),
    "no dropout for this arm": ('[data]', '[[methods.arms]]\nmethod = "pattern+dora"\ndropout = 0.1\n[data]',
                                "/methods/arms/0/dropout", None),
}  # fmt: skip
"""Title -> what stands in a sound spec, what is written instead, a place, and what stands there once it is mended."""


@pytest.mark.parametrize("title", MEANT)
def test_what_is_meant_is_written(title: str, base: Path) -> None:
    old, new, place, wanted = MEANT[title]
    checked = check(Given(SOUND.replace(old, new).encode(), "spec.toml", base, "toml"), fix=True)
    assert checked.fixed is not None
    assert not [one for one in checked.left if one.severity == "error"]
    assert at(tomllib.loads(checked.fixed), place) == wanted


WRITTEN: dict[str, tuple[str, str, list[str]]] = {
    "a faulty key of a faulty value": ('attributes = { "to ne" = ["a"] }', "attributes", ["to ne/0", "to ne"]),
    "the only value of a list": ('attributes = { tone = ["a"] }', "attributes", ["tone/0"]),
    "an empty list": ("attributes = { tone = [] }", "attributes", ["tone"]),
    "no scheme": ('teacher = { model = "gpt-4o", base_url = "example.org/v1" }', "teacher", ["base_url"]),
}
"""Title -> a line of a sound spec's augmentation, its table, and the places in it of all that is said."""


@pytest.mark.parametrize("title", WRITTEN)
def test_what_was_written_is_judged(title: str, base: Path) -> None:
    """No finding and no fix is about what is left when a faulty item was left out."""
    line, table, wanted = WRITTEN[title]
    content = f"{SOUND}[augmentation]\n{line}\n"
    errors = [one for one in findings(content.encode(), "toml", base) if one.severity == "error"]
    assert [one.pointer for one in errors] == [f"/augmentation/{table}/{place}" for place in wanted]
    for fix in (fix for one in errors for fix in one.fixes):
        apply_patches(tomllib.loads(content), fix.patches)


ADDRESS = "an address that begins with http:// or https://"
TEACHERS: dict[str, tuple[str, str, list[tuple[str, object]]]] = {
    "an endpoint here": ('{ model = "m", base_url = "localhost:11434/v1" }', ADDRESS,
                         [("likely", "http://localhost:11434/v1")]),
    "here, in numbers": ('{ model = "m", base_url = "127.0.0.1/v1" }', ADDRESS, [("likely", "http://127.0.0.1/v1")]),
    "here, in six": ('{ model = "m", base_url = "[::1]:80" }', ADDRESS, [("likely", "http://[::1]:80")]),
    "one elsewhere": ('{ model = "m", base_url = "example.org/v1" }', ADDRESS,
                      [("choose", "https://example.org/v1"), ("choose", "http://example.org/v1")]),
    "one that begins alike": ('{ model = "m", base_url = "localhost.example.org" }', ADDRESS,
                              [("choose", "https://localhost.example.org"), ("choose", "http://localhost.example.org")]),
    "another scheme": ('{ model = "m", base_url = "ftp://example.org/v1" }', ADDRESS, []),
    "a lone name": ('"gpt-4o"', "a table", [("likely", {"model": "gpt-4o"})]),
    "a short line": ('{ model = "" }', "at least 1 character", []),
}  # fmt: skip
"""Title -> the teacher of a sound spec, what is expected instead, and what the fixes write."""


@pytest.mark.parametrize("title", TEACHERS)
def test_a_teacher_is_mended(title: str, base: Path) -> None:
    teacher, expected, wanted = TEACHERS[title]
    content = f"{SOUND}[augmentation]\nteacher = {teacher}\n".encode()
    (error,) = [one for one in findings(content, "toml", base) if one.severity == "error"]
    assert error.expected == expected
    assert [(fix.applicability, fix.patches[-1].value) for fix in error.fixes] == wanted


AUGMENTED: dict[str, tuple[str, list[str]]] = {
    "two amounts": (f'target = 9\nfactor = 2\nteacher.model = "{EMBEDDED}"', ["remove target", "remove factor"]),
    "nobody": ("eda = false", ["write True", "remove augmentation"]),
    "a key for nobody": (f'teacher = {{ model = "{EMBEDDED}", key_variable = "KEY" }}',
                         ["set key_variable aside, in the notes"]),
}  # fmt: skip
"""Title -> a contradiction of a sound spec's augmentation, and the ways out."""


@pytest.mark.parametrize("title", AUGMENTED)
def test_a_contradiction_of_augmentation_has_ways_out(title: str, base: Path) -> None:
    lines, wanted = AUGMENTED[title]
    content = f"{SOUND}[augmentation]\n{lines}\n".encode()
    (error,) = [one for one in findings(content, "toml", base) if one.severity == "error"]
    assert (error.code, [fix.title for fix in error.fixes]) == ("E-conflict", wanted)
    assert not {fix.applicability for fix in error.fixes} & {"safe"}


def test_a_key_in_an_address_is_never_repeated(base: Path) -> None:
    teacher = '{ model = "m", base_url = "http://localhost/v1?api_key=hunter2" }'
    (error,) = [one for one in findings(f"{SOUND}[augmentation]\nteacher = {teacher}\n".encode(), "toml", base)
                if one.severity == "error"]  # fmt: skip
    assert "hunter2" not in error.model_dump_json()
    assert "key_variable" in str(error.remedy)


@pytest.mark.parametrize("key", ["sk-" + "ab1" * 10, "my-key"])
def test_a_key_belongs_in_a_variable(key: str, base: Path) -> None:
    teacher = f'{{ model = "m", base_url = "http://localhost/v1", key_variable = "{key}" }}'
    content = f"{SOUND}[augmentation]\nteacher = {teacher}\n".encode()
    (error,) = [one for one in findings(content, "toml", base) if one.severity == "error"]
    assert "the environment variable that holds the endpoint's key" in str(error.remedy)
    assert "HF_TOKEN" not in str(error.remedy)


TWICE: dict[str, tuple[str, str, str]] = {
    "a version": ("spec_version = 1", "spec_version = 2.0", "first"),
    "a word": ('task.type = "classification"', 'task.type = "other"', "first"),
    "a file": ('test = "legal/test.csv"', 'test = "other"', "first"),
    "a column": ('label = "type"', 'label = "other"', "first"),
    "a number that can be read": ("spec_version = 1", 'spec_version = "1"', "none"),
    "two files": ('test = "legal/test.csv"', 'test = "legal/german.csv"', "none"),
    "two columns": ('label = "type"', 'label = "clause"', "none"),
    "a slip and a word": ('task.type = "classification"', 'task.type = "clasification"', "none"),
}
"""Title -> a line, another one with its key, and which of them stays without asking."""


@pytest.mark.parametrize("form", ["toml", "json"])
@pytest.mark.parametrize("title", TWICE)
def test_of_two_values_the_only_possible_one_stays(title: str, form: Format, base: Path) -> None:
    one, other, stays = TWICE[title]
    for pair in ((one, other), (other, one)):
        content = SOUND.replace(one, "\n".join(pair))
        if form == "json":
            content = _as_json(content)
        fixes = [fix for found in findings(content.encode(), form, base) if found.code == "E-duplicate-key"
                 for fix in found.fixes]  # fmt: skip
        assert [fix.applicability for fix in fixes] == (["likely"] if stays == "first" else ["choose", "choose"])
        if stays == "first":
            text = rewritten(content.encode(), form, findings(content.encode(), form, base))
            assert text is not None
            tree = tomllib.loads(text) if form == "toml" else json.loads(text)
            assert tree == tomllib.loads(SOUND)
            assert form == "json" or f"# {other}" in text


def _as_json(text: str) -> str:
    """The lines of the sound spec as those of an object, keys given twice included."""
    tables: dict[str, list[str]] = {"": [], "task": [], "data": []}
    table = ""
    for line in text.strip().split("\n"):
        key, _, value = line.partition(" = ")
        owner, _, key = key.rpartition(".")
        if line.startswith("["):
            table = line.strip("[]")
        else:
            tables[owner or table].append(f'"{key}": {value}')
    inner = [f'"{name}": {{\n' + ",\n".join(lines) + "\n}" for name, lines in tables.items() if name]
    return "{\n" + ",\n".join([*tables[""], *inner]) + "\n}\n"


def test_a_huge_sweep_is_for_the_user_to_cut(base: Path) -> None:
    lists = f"steps = {list(range(20, 70))}\nrank = {list(range(1, 51))}\nalpha = 8\n"
    found = findings(f"{SOUND}[methods.pin]\n{lists}".encode(), "toml", base)
    fixes = [fix for one in found if one.code == "E-too-many-trials" for fix in one.fixes]
    assert [fix.applicability for fix in fixes] == ["choose"]
    assert [patch.value for patch in fixes[0].patches if patch.op == "replace"] == [[20, 45, 69], [1, 26, 50]]


def test_a_table_for_the_task_is_no_task_of_an_arm() -> None:
    """Of 100,000 damaged texts two were like this one, and brought the reader down."""
    text = '{"task": {"type": {"a": 1}}, "data": {"train": "a.csv"}, "methods": {"arms": [{"rank": 4}]}}'
    assert "/task/type" in {one.pointer for one in examine(text.encode()).found}


def test_all_that_is_set_aside_is_kept(base: Path) -> None:
    """Each fix says what it alone sets aside; all together lose nothing."""
    arms = "".join(f'[[methods.arms]]\nmethod = "head+lora"\nvirtual_tokens = {count}\n' for count in (20, 30))
    content = f'notes = "mine"\n{SOUND}{arms}'.encode()
    errors = [one for one in findings(content, "toml", base) if one.severity == "error"]
    written = [next(patch.value for patch in one.fixes[0].patches if patch.op == "add") for one in errors]
    assert [text.count("virtual_tokens") for text in written] == [1, 1]
    assert all(text.startswith("mine\n") for text in written)
    mended = rewritten(content, "toml", errors)
    assert mended is not None
    assert tomllib.loads(mended)["notes"].splitlines() == ["mine", *(text.splitlines()[-1] for text in written)]
