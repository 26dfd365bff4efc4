"""Every verb is a method: what it returns is what the command line says, and nothing is printed."""

from pathlib import Path

import pytest
from project import Project, make_project

from fewtune.api import Client
from fewtune.specs.diagnostic import FewtuneError


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("client")
    made = make_project(folder, methods={"include": ["majority", "tfidf", "head+lora"], "pin": {"steps": 4}})
    made.apply()
    return made


def test_the_verbs_are_methods(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    client = Client(root=project.folder, workspace=project.workspace)
    found = client.results()
    assert found.verdict is not None
    arm = found.verdict.chosen
    assert client.sql("SELECT arm FROM leaderboard WHERE chosen").rows[0][0] == arm
    predicted = client.predict("test.csv")
    assert (predicted.arm, len(predicted.rows(False))) == (arm, 40)
    assert client.report("page.html").read_text().startswith("<!doctype html>")
    assert (client.export("made", merged=True) / "config.json").exists()
    confused = client.errors("spec.json").confused
    assert confused is not None
    assert confused.arm == arm
    assert "lora" in client.brief()
    assert "E-budget" in client.describe("code", "E-budget")
    assert "results" in client.describe().splitlines()
    assert client.schema()["properties"]["spec_version"]
    assert {row.id for row in client.rules("lora_rank")} >= {"R-036"}
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("verb", ["report", "export"])
def test_an_agents_client_writes_nothing_unasked(verb: str, project: Project) -> None:
    agent = Client(root=project.folder, workspace=project.workspace, channel="agent")
    with pytest.raises(FewtuneError, match="E-policy"):
        getattr(agent, verb)("elsewhere")


@pytest.mark.parametrize("source", ["../other.csv", "/etc/passwd"])
def test_an_agents_client_reads_inside(source: str, project: Project) -> None:
    agent = Client(root=project.folder, workspace=project.workspace, channel="agent")
    with pytest.raises(FewtuneError, match="E-path"):
        agent.predict(Path(source))
