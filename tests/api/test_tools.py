"""fewtune as MCP tools, through the official client: in memory and over standard input and output."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from agents.home import SPEC, make
from fake_engine import launch
from mcp import Client as McpClient
from mcp import StdioServerParameters

from fewtune.api.bounded import BRIEF, FULL
from fewtune.api.client import Client
from fewtune.api.running import How
from fewtune.api.tools.server import server, tools
from fewtune.specs.diagnostic import FewtuneError
from fewtune.specs.experiment import Experiment
from fewtune.specs.policy import NO_POLICY, Policy
from fewtune.specs.projection import project

ENABLED = Policy(policy_version=1, agents_submit=True)
SNAPSHOT = Path(__file__).parents[1] / "fixtures" / "tools.json"
READS = ("brief", "describe", "draft_spec", "validate_spec", "plan_spec", "explain_plan", "show_results",
         "compare_arms", "query_results", "watch_run")  # fmt: skip
WRITES = ("submit_plan", "cancel_run")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a model, a spec, and a finished run of it on the fake engine."""
    made = make(tmp_path_factory.mktemp("tools"))
    client = Client(root=made, workspace=Path("workspace"), policy=ENABLED, launch=launch)
    handle = client.submit("spec.json").handle
    assert client.wait(handle, 120).state == "succeeded"
    return made


def agent(home: Path, policy: Policy = ENABLED) -> Client:
    return Client(root=home, workspace=Path("workspace"), channel="agent", policy=policy, name="test", launch=launch)


Call = Callable[..., Awaitable[tuple[dict[str, Any], bool]]]


def talk(client: Client, work: Callable[[Call], Awaitable[None]]) -> None:
    """Let `work` call tools through the official client, in memory."""

    async def main() -> None:
        async with McpClient(server(client)) as session:

            async def call(name: str, **arguments: Any) -> tuple[dict[str, Any], bool]:
                return answer(await session.call_tool(name, arguments))

            await work(call)

    asyncio.run(main())


def answer(result: Any) -> tuple[dict[str, Any], bool]:
    """The envelope, which both channels hold alike, and whether it is an error."""
    assert len(result.content) == 1
    text = result.content[0].text
    assert json.loads(text) == result.structured_content
    assert len(text.encode()) <= FULL
    envelope: dict[str, Any] = result.structured_content
    assert set(envelope) == {"ok", "api", "verb", "data", "diagnostics", "next", "as_of", "truncated", "limits"}
    return envelope, bool(result.is_error)


def test_the_tool_surface_is_small_fixed_and_as_recorded(home: Path) -> None:
    """The snapshot is the contract: a change of it is a change of what agents rely on."""

    async def listed(policy: Policy) -> Any:
        async with McpClient(server(agent(home, policy))) as session:
            return await session.list_tools()

    found = asyncio.run(listed(ENABLED))
    assert sorted(tool.name for tool in found.tools) == sorted(READS + WRITES)
    assert len(found.tools) <= 12
    assert len(found.model_dump_json(by_alias=True, exclude_none=True).encode()) <= 12_000
    declared = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in found.tools]
    assert declared == json.loads(SNAPSHOT.read_text())
    for tool in found.tools:
        assert "type" not in tool.input_schema["properties"].get("spec", {})
        assert tool.input_schema["additionalProperties"] is False
        assert tool.annotations.read_only_hint is (tool.name in READS)
    assert sorted(tool.name for tool in asyncio.run(listed(NO_POLICY)).tools) == sorted(READS)


GOOD: dict[str, dict[str, Any]] = {
    "brief": {}, "describe": {"topic": "choosing"}, "draft_spec": {"data": "train.csv"},
    "validate_spec": {"spec": "spec.json"}, "plan_spec": {"spec": "spec.json"},
    "explain_plan": {"spec": "spec.json", "pointer": "learning_rate"}, "show_results": {},
    "compare_arms": {"a": "majority", "b": "TF-IDF + logistic regression"},
    "query_results": {"sql": "SELECT arm, mean FROM leaderboard ORDER BY mean DESC"}, "watch_run": {},
}  # fmt: skip


def test_every_tool_answers_alike_in_both_channels_and_within_its_size(home: Path) -> None:
    async def work(call: Call) -> None:
        for name, arguments in GOOD.items():
            envelope, wrong = await call(name, **arguments)
            assert (envelope["ok"], wrong) == (True, False), (name, envelope)
            assert len(json.dumps(envelope, ensure_ascii=False).encode()) <= BRIEF
        full, _ = await call("plan_spec", spec="spec.json", detail="full")
        assert full["data"]["trials"]

    talk(agent(home), work)


def test_an_unknown_argument_is_refused_by_every_tool(home: Path) -> None:
    async def work(call: Call) -> None:
        for tool in tools(agent(home)):
            envelope, wrong = await call(tool.name, **GOOD.get(tool.name, {}), bogus=1)
            assert wrong
            assert "bogus" in envelope["diagnostics"][0]["message"], tool.name

    talk(agent(home), work)


NEXT = {
    ("plan_spec", "E-missing"): "validate_spec with fix=true",
    ("plan_spec", "E-usage"): "the call again, mended",
    ("explain_plan", "E-not-found"): "plan_spec",
    ("compare_arms", "E-not-found"): "show_results",
    ("watch_run", "E-not-found"): "watch_run without a run",
    ("query_results", "E-sql"): "query_results with sql=SHOW ALL TABLES, or describe with topic=sql",
    ("submit_plan", "E-plan-stale"): "plan_spec",
}
"""Tool and code -> the first of what the answer proposes."""
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("plan", {}, "E-not-found"),
    ("plan_spec", {}, "E-usage"),
    ("plan_spec", {"spec": 3}, "E-usage"),
    ("plan_spec", {"spec": "spec.json", "detail": "all"}, "E-usage"),
    ("query_results", {"sql": "SELECT 1", "limit": 0}, "E-usage"),
    ("query_results", {"sql": "SELECT 1", "limit": True}, "E-usage"),
    ("plan_spec", {"spec": {"spec_version": 1}}, "E-missing"),
    ("plan_spec", {"spec": "x = ["}, "E-syntax"),
    ("plan_spec", {"spec": "nowhere.toml"}, "E-file-missing"),
    ("plan_spec", {"spec": "train.csv"}, "E-usage"),
    ("plan_spec", {"spec": "/etc/passwd"}, "E-usage"),
    ("plan_spec", {"spec": "../spec.toml"}, "E-path"),
    ("plan_spec", {"spec": "/etc/passwd.toml"}, "E-path"),
    ("plan_spec", {"spec": "a\x00.toml"}, "E-path"),
    ("draft_spec", {"data": "/etc/passwd"}, "E-path"),
    ("plan_spec", {"spec": {**SPEC, "data": {"train": "gone.csv"}}}, "E-file-missing"),
    ("plan_spec", {"spec": {**SPEC, "data": {"train": "../x.csv"}}}, "E-path"),
    ("plan_spec", {"spec": "spec.json", "what_if": ["nothing"]}, "E-usage"),
    ("explain_plan", {"spec": "spec.json", "pointer": "/nowhere"}, "E-not-found"),
    ("describe", {"topic": "nothing"}, "E-not-found"),
    ("show_results", {"experiment": "nothing"}, "E-not-found"),
    ("compare_arms", {"a": "majority", "b": "nothing"}, "E-not-found"),
    ("query_results", {"sql": "DROP TABLE runs"}, "E-sql"),
    ("query_results", {"sql": "SELECT nothing FROM leaderboard"}, "E-sql"),
    ("watch_run", {"run": "s-000000000000"}, "E-not-found"),
    ("watch_run", {"run": "../.."}, "E-not-found"),
    ("watch_run", {"run": "r0001", "cursor": "1.2.3"}, "E-not-found"),
    ("cancel_run", {"run": "r0099"}, "E-not-found"),
    ("submit_plan", {"spec": "spec.json", "plan_hash": "0" * 24}, "E-plan-stale"),
    ("submit_plan", {"spec": "spec.json"}, "E-usage"),
]


def test_every_fault_has_its_code_and_is_marked_an_error(home: Path) -> None:
    async def work(call: Call) -> None:
        for name, arguments, code in CASES:
            envelope, wrong = await call(name, **arguments)
            codes = [finding["code"] for finding in envelope["diagnostics"]]
            assert wrong, (name, arguments)
            assert code in codes, (name, arguments, codes)
            assert all(len(finding["message"]) <= 400 for finding in envelope["diagnostics"])
            assert envelope["next"][0] == NEXT.get((name, code), envelope["next"][0])
            assert envelope["next"][-1] == f"describe with topic=codes, name={codes[0]}"

    talk(agent(home), work)


def test_without_the_operators_word_nothing_is_written(home: Path) -> None:
    async def work(call: Call) -> None:
        planned, _ = await call("plan_spec", spec={**SPEC, "evaluation": {"data_seeds": 5}})
        assert planned["data"]["admission"]["tier"] == "refused"
        assert planned["limits"]["submit"] is False
        for name in WRITES:
            envelope, wrong = await call(name, spec="spec.json", plan_hash="0" * 24, run="r0001")
            assert wrong
            assert envelope["diagnostics"][0]["code"] == "E-policy"

    before = sorted((home / "workspace").rglob("*"))
    talk(agent(home, NO_POLICY), work)
    assert sorted((home / "workspace").rglob("*")) == before


def test_an_agents_client_may_do_in_python_what_it_may_over_tools(home: Path) -> None:
    """Methods that change anything ask the same policy, those that no tool has included."""
    client = agent(home, NO_POLICY)
    for change in (
        lambda: client.apply("spec.json", how=How(in_process=True)),
        lambda: client.submit({**SPEC, "evaluation": {"data_seeds": 6}}),
        lambda: client.init("train.csv", "new.toml"),
        lambda: client.cancel("r0001"),
    ):
        (home / "spec.json").write_text(json.dumps({**SPEC, "evaluation": {"data_seeds": 6}}))
        with pytest.raises(FewtuneError, match="E-policy"):
            change()
    (home / "spec.json").write_text(json.dumps(SPEC))
    assert not (home / "new.toml").exists()


def test_a_spec_is_the_same_in_every_form(home: Path) -> None:
    toml = (
        'spec_version = 1\nname = "toy"\n[task]\ntype = "classification"\n[data]\ntrain = "train.csv"\n'
        'test = "test.csv"\nlabel_budget = 12\n[model]\npath = "model"\n[evaluation]\ndata_seeds = 2\n[methods]\n'
        'include = ["majority", "tfidf", "head+lora"]\n'
    )
    hashes, strict = set(), project(Experiment.model_validate(SPEC))

    async def work(call: Call) -> None:
        for spec in ("spec.json", SPEC, json.dumps(SPEC), toml, strict, json.dumps(strict)):
            envelope, _ = await call("plan_spec", spec=spec)
            hashes.add(envelope["data"]["plan_hash"])

    talk(agent(home), work)
    assert len(hashes) == 1


def test_a_plan_with_changes_is_submitted_with_them(home: Path) -> None:
    async def work(call: Call) -> None:
        changed = {"spec": "spec.json", "within": "9 min", "what_if": ["evaluation.data_seeds=4"]}
        planned, _ = await call("plan_spec", **changed)
        plan_hash = planned["data"]["plan_hash"]
        bare, wrong = await call("submit_plan", spec="spec.json", plan_hash=plan_hash)
        assert wrong
        assert bare["diagnostics"][0]["code"] == "E-plan-stale"
        sent, wrong = await call("submit_plan", plan_hash=plan_hash, **changed)
        assert not wrong, sent
        await call("cancel_run", run=sent["data"]["handle"], now=True)

    talk(agent(home), work)


def test_a_draft_can_be_planned_at_once(home: Path) -> None:
    async def work(call: Call) -> None:
        (home / "more").mkdir(exist_ok=True)
        shutil.copyfile(home / "train.csv", home / "more" / "own.csv")
        drafted, _ = await call("draft_spec", data="more/own.csv")
        assert not (home / "own.toml").exists()
        planned, wrong = await call("plan_spec", spec=drafted["data"]["spec"])
        assert not wrong, planned

    talk(agent(home), work)


def test_a_run_from_plan_to_verdict(home: Path) -> None:
    spec = {**SPEC, "evaluation": {"data_seeds": 3}}

    async def work(call: Call) -> None:
        planned, _ = await call("plan_spec", spec=spec)
        sent, _ = await call("submit_plan", spec=spec, plan_hash=planned["data"]["plan_hash"])
        assert sent["data"]["changed"]
        again, _ = await call("submit_plan", spec=spec, plan_hash=planned["data"]["plan_hash"])
        assert not again["data"]["changed"]
        handle, cursor, seqs, over = sent["data"]["handle"], None, list[int](), False
        while not over:
            arguments = {"run": handle, "wait_s": 5} | ({"cursor": cursor} if cursor else {})
            seen, _ = await call("watch_run", **arguments)
            cursor, over = seen["data"]["cursor"], seen["data"]["over"]
            seqs += [event["seq"] for event in seen["data"]["events"]]
        assert seqs == sorted(set(seqs))
        assert seen["data"]["status"]["state"] == "succeeded"
        assert "reaches" in seen["data"]["end"]["verdict"]
        ended, _ = await call("cancel_run", run=handle)
        assert not ended["data"]["changed"]

    talk(agent(home), work)


def test_over_standard_output_a_server_may_be_started_anew_for_each_call(home: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("policy_version = 1\nagents_submit = true\n")
    command = ["-m", "fewtune.api.cli", "mcp", "--root", str(home), "--workspace", "workspace"]
    where = StdioServerParameters(
        command=sys.executable, args=command, env={**os.environ, "FEWTUNE_POLICY": str(policy)}, cwd=str(tmp_path)
    )

    async def main() -> None:
        for name in ("plan_spec", "show_results"):
            async with McpClient(where) as session:
                assert len((await session.list_tools()).tools) == 12
                envelope, wrong = answer(await session.call_tool(name, GOOD[name]))
                assert not wrong, envelope
                _, wrong = answer(await session.call_tool(name, {"bogus": 1}))
                assert wrong
        async with McpClient(where) as session:
            named = [resource.uri for resource in (await session.list_resources()).resources]
            assert "fewtune://brief" in named
            for uri in named:
                text = (await session.read_resource(uri)).contents[0].text  # type: ignore[union-attr]
                assert 0 < len(text.encode()) <= BRIEF

    asyncio.run(main())


def test_a_policy_that_cannot_be_read_allows_nothing(home: Path, tmp_path: Path, monkeypatch: Any) -> None:
    broken = tmp_path / "policy.toml"
    broken.write_text("policy_version = 1\nagent_submit = true\n")
    monkeypatch.setenv("FEWTUNE_POLICY", str(broken))
    client = Client(root=home, workspace=Path("workspace"), channel="agent")

    assert {tool.name for tool in tools(client)} == set(READS)

    async def work(call: Call) -> None:
        for name in ("plan_spec", "submit_plan"):
            envelope, wrong = await call(name, spec="spec.json")
            assert wrong
            assert envelope["diagnostics"][0]["code"] == "E-policy"

    talk(client, work)
