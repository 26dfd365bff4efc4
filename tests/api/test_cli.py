"""The command line's contract: one envelope, closed exit codes, data on standard output only, no heavy imports."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit
from many import fewtune_many
from project import fewtune

from fewtune.api.ruling import rule_page
from fewtune.specs.diagnostic import RunError
from fewtune.specs.load import load, load_file
from fewtune.specs.projection import project

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.toml") if path.stem != "hub")
KEYS = ["ok", "api", "verb", "data", "diagnostics", "next", "as_of", "truncated", "limits"]
VERBS = (
    "init", "validate", "pull", "plan", "explain", "apply", "results", "compare", "sql", "predict", "export", "schema",
    "describe", "rules", "models", "doctor", "errors",
)  # fmt: skip


def test_help_names_every_verb() -> None:
    done = fewtune("--help", cwd=ROOT, fresh=True)
    assert done.returncode == 0
    for verb in VERBS:
        assert f" {verb} " in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(verb: str) -> None:
    done = fewtune(verb, "--help", cwd=ROOT)
    assert done.returncode == 0
    assert "--json" in done.stdout


def test_a_topic_is_a_page_and_names_what_exists() -> None:
    found = json.loads(fewtune("describe", "--json", cwd=ROOT).stdout)["data"]["topics"]
    assert "performance" in found
    pages = fewtune_many([["describe", topic] for topic in found], ROOT)
    for title, page in zip(found.values(), (done.stdout for done in pages), strict=True):
        assert page.startswith(f"# {title}\n")
        for script in re.findall(r"tests/[\w/]+\.py", page):
            assert (ROOT / script).is_file()
        for table in re.findall(r"\((\w+\.md)\)", page):
            assert (ROOT / "tests" / "bench" / table).is_file()
    unknown = fewtune("describe", "nothing", "--json", cwd=ROOT)
    assert unknown.returncode == 7
    assert "performance" in json.loads(unknown.stdout)["diagnostics"][0]["remedy"]


@pytest.mark.parametrize(
    ("asked", "some"),
    [
        ([], {"R-001", "R-151", "M-001"}),
        (["lora_rank"], {"R-036", "R-039"}),
        (["--state", "waiting"], {"R-082", "R-111"}),
        (["SetFit", "--strength", "strong"], {"R-022", "R-129"}),
    ],
)
def test_rules_are_filtered(asked: list[str], some: set[str]) -> None:
    data, shown = (done.stdout for done in fewtune_many([["rules", *asked, "--json"], ["rules", *asked]], ROOT))
    found = json.loads(data)["data"]["rules"]
    ids = {row["id"] for row in found}
    assert some <= ids
    assert (len(ids) == 157) is (not asked)
    assert all((row["waits_for"] is None) is row["active"] for row in found)
    assert all(id in shown for id in ids)


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        (["rules", "lora_rnk"], 7, "lora_rank"),
        (["rules", "--strength", "weak"], 2, "folklore"),
        (["rules", "--state", "on"], 2, "waiting"),
        (["describe", "rule", "R-999"], 7, "fewtune rules"),
        (["describe", "rule"], 2, "fewtune rules"),
        (["describe", "performance", "R-035"], 2, "rule R-035"),
    ],
)
def test_a_rule_that_is_not_there(asked: list[str], status: int, says: str) -> None:
    done = fewtune(*asked, "--json", cwd=ROOT)
    assert done.returncode == status
    found = json.loads(done.stdout)["diagnostics"][0]
    assert says in f"{found['message']} {found['remedy']}"


@pytest.mark.parametrize(
    ("asked", "near"),
    [("r-35", "R-035"), ("35", "R-035"), ("m1", "M-001"), ("r 0035", "R-035"), ("lora", None), ("R-999", None)],
)
def test_a_rule_by_a_short_number_is_offered(asked: str, near: str | None) -> None:
    with pytest.raises(RunError) as refused:
        rule_page(asked)
    assert refused.value.diagnostics[0].nearest == near


def test_a_rule_is_shown_with_what_speaks_against_it() -> None:
    page = fewtune("describe", "rule", "r-039", cwd=ROOT).stdout
    assert page.startswith("R-039 (folklore)\n")
    assert "fires when  labels < 500" in page
    assert "against it  R-037 (strong)" in page


def test_explain_says_what_keeps_a_rule_out() -> None:
    done = fewtune("explain", "examples/quickstart.toml", "learning_rate", "--json", cwd=ROOT)
    decisions = json.loads(done.stdout)["data"]["decisions"]
    assert {one["kept_out"]["R-048"] for one in decisions} == {"adaptation = full"}
    assert all(set(one["overruled"]) < set(one["evidence"]) for one in decisions)
    shown = fewtune("explain", "examples/quickstart.toml", "learning_rate", cwd=ROOT).stdout
    assert "kept out" in shown
    assert "R-048 needs" in shown
    assert shown.count("(overruled)") == sum(len(one["overruled"]) for one in decisions)


LIGHT = {
    "plan": ["plan", "examples/quickstart.toml"],
    "validate": ["validate", "examples/quickstart.toml"],
    "explain": ["explain", "examples/quickstart.toml", "learning_rate"],
    "schema": ["schema"],
    "help": ["--help"],
    "describe": ["describe", "performance"],
    "rule": ["describe", "rule", "R-035"],
    "rules": ["rules", "lora"],
    "sql": ["sql", "SELECT * FROM runs"],
    "results": ["results"],
}


@pytest.mark.parametrize("name", LIGHT)
def test_light_verbs_import_nothing_heavy(name: str, tmp_path: Path) -> None:
    program = (
        "import sys, fewtune.api.cli as cli\n"
        f"sys.argv = ['fewtune', *{LIGHT[name]!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'ray', 'transformers', 'peft', 'sklearn', 'datasets') if m in sys.modules],"
        " [m for m in ('specs', 'compiler', 'store', 'runtime', 'api') if m in sys.modules], file=sys.stderr)"
    )
    environment = {"FEWTUNE_WORKSPACE": str(tmp_path / "w"), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.stderr.splitlines()[-1] == "[] []"


def test_examples_plan_to_the_same_bytes(tmp_path: Path) -> None:
    """From two processes with different hash seeds, and from the same spec written as JSON."""
    folder, copies = EXAMPLES[0].parent, [path.with_name(f".{path.stem}.json") for path in EXAMPLES]
    for path, copy in zip(EXAMPLES, copies, strict=True):
        copy.write_text(json.dumps(tomlkit.parse(path.read_text()).unwrap()))
    try:
        for number, specs in enumerate((EXAMPLES, [*EXAMPLES, *copies])):
            (tmp_path / str(number)).mkdir()
            asked = [["plan", path.name, "--save", str(tmp_path / str(number) / path.name)] for path in specs]
            environment = {"PYTHONHASHSEED": str(number), "FEWTUNE_WORKSPACE": str(tmp_path / "w")}
            for path, done in zip(specs, fewtune_many(asked, folder, environment, fresh=True), strict=True):
                assert done.returncode == 0, (path, done.stderr)
    finally:
        for copy in copies:
            copy.unlink()
    for path, copy in zip(EXAMPLES, copies, strict=True):
        saved = [(tmp_path / name).read_bytes() for name in (f"0/{path.name}", f"1/{path.name}", f"1/{copy.name}")]
        assert saved[0] == saved[1] == saved[2], path


def test_saved_plan_is_explained_and_edited_ones_are_refused(tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    where = {"FEWTUNE_WORKSPACE": str(tmp_path / "w")}
    assert fewtune("plan", "examples/quickstart.toml", "--save", str(saved), cwd=ROOT, env=where).returncode == 0
    assert fewtune("explain", str(saved), "rank", cwd=ROOT, env=where).returncode == 0
    content = json.loads(saved.read_text())
    content["plan"]["arms"][-1]["recipes"][0]["steps"] += 1
    saved.write_text(json.dumps(content))
    done = fewtune("apply", str(saved), "--json", cwd=ROOT, env=where)
    assert (done.returncode, json.loads(done.stdout)["diagnostics"][0]["code"]) == (4, "E-plan-edited")
    saved.write_text(saved.read_text()[:-100])
    assert fewtune("apply", str(saved), "--json", cwd=ROOT, env=where).returncode in (3, 4)


FAULTS = [
    (["plan", "nowhere.toml"], 3, "E-file-missing"),
    (["plan"], 2, "E-usage"),
    (["plann"], 2, "E-usage"),
    (["results"], 7, "E-nothing-to-show"),
    (["sql", "DELETE FROM runs"], 13, "E-sql"),
    (["sql", "SELECT nothing FROM runs"], 2, "E-sql"),
    (["explain", "examples/quickstart.toml", "nonsense"], 7, "E-not-found"),
    (["predict", "x.csv"], 7, "E-nothing-to-show"),
    (["watch"], 7, "E-nothing-to-show"),
    (["watch", "r0001"], 7, "E-not-found"),
    (["describe", "polcy"], 7, "E-not-found"),
    (["init", "nowhere.csv"], 3, "E-file-missing"),
    (["init", "examples/legal/train.csv", "-o", "/nowhere/at/all.toml"], 2, "E-io"),
    (["plan", "examples/quickstart.toml", "--save", "/nowhere/at/all.json"], 2, "E-io"),
    (["plan", "examples/quickstart.toml", "--save", "."], 2, "E-io"),
    (["plan", "examples/quickstart.toml", "--within", "1 s"], 6, "E-budget"),
    (["results", "-w", "README.md"], 2, "E-io"),
    (["sql", "SELECT 1", "--format", "xml"], 2, "E-usage"),
    (["predict", "x.csv", "--format", "xml"], 2, "E-usage"),
    (["export", "x", "--precision", "bf16"], 2, "E-usage"),
    (["apply", "examples/quickstart.toml", "--in-process", "--workers", "2"], 2, "E-usage"),
]


@pytest.mark.parametrize("core", [False, True])
def test_a_document_under_a_grammar_becomes_a_spec(core: bool, tmp_path: Path) -> None:
    spec = load_file(ROOT / "examples" / "quickstart.toml").experiment
    written = tmp_path / "written.json"
    written.write_text(json.dumps(project(spec, core=core)))
    done = fewtune("schema", "--restore", str(written), cwd=tmp_path)
    assert load(done.stdout.encode(), format="json").experiment == spec
    written.write_text('{"train": "x"}')
    done = fewtune("schema", "--restore", str(written), "--json", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["diagnostics"][0]["code"]) == (3, "E-syntax")


@pytest.mark.parametrize(("arguments", "status", "code"), FAULTS, ids=lambda value: str(value)[:40])
def test_faults_end_with_their_status_and_code(arguments: list[str], status: int, code: str, tmp_path: Path) -> None:
    done = fewtune(*arguments, "--json", cwd=ROOT, env={"FEWTUNE_WORKSPACE": str(tmp_path / "w")})
    envelope = json.loads(done.stdout)
    assert list(envelope) == KEYS
    assert (done.returncode, envelope["diagnostics"][0]["code"]) == (status, code)
    assert envelope["ok"] is False


def test_plan_has_the_contract_s_keys(tmp_path: Path) -> None:
    done = fewtune("plan", "examples/quickstart.toml", "--json", cwd=ROOT, env={"FEWTUNE_WORKSPACE": str(tmp_path)})
    data = json.loads(done.stdout)["data"]
    assert {"plan_hash", "arms", "trials", "decisions", "estimate"} <= data.keys()
    assert {"fingerprint", "arm", "n", "data_seed", "model_seed", "action"} <= data["trials"][0].keys()
    decision = {"field", "value", "rule", "because", "strength", "source", "alternatives"}
    assert all(decision <= found.keys() for found in data["decisions"])


def test_validate_shows_all_faults_and_mends(tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text('# mine\nspec_version = 1\n[task]\ntype = "clasification"\n[data]\ntrain = "a.csv"\ntxt = "b"\n')
    done = fewtune("validate", "spec.toml", "--json", cwd=tmp_path, fresh=True)
    found = json.loads(done.stdout)["diagnostics"]
    assert done.returncode == 3
    assert {(fault["code"], fault["line"]) for fault in found} == {
        ("E-value", 4),
        ("E-unknown-key", 7),
        ("E-file-missing", 6),
    }
    fixed = fewtune("validate", "spec.toml", "--fix", cwd=tmp_path)
    assert fixed.stdout.startswith("# mine\n")
    assert 'type = "classification"' in fixed.stdout
    assert 'text = "b"' in fixed.stdout


def test_init_writes_a_spec_that_plans(tmp_path: Path) -> None:
    rows = (ROOT / "examples" / "legal" / "train.csv").read_text().splitlines()[:61]
    (tmp_path / "mine.csv").write_text("\n".join(rows) + "\n")
    made = fewtune("init", "mine.csv", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout == (tmp_path / "mine.toml").read_text()
    assert fewtune("plan", "mine.toml", cwd=tmp_path, fresh=True).returncode == 0
    again = fewtune("init", "mine.csv", "--json", cwd=tmp_path)
    assert again.returncode == 2
    assert fewtune("init", "--example", cwd=tmp_path).returncode == 0
    assert fewtune("plan", "fewtune-quickstart/quickstart.toml", cwd=tmp_path).returncode == 0
