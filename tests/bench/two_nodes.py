"""The quickstart on a Ray cluster of two nodes (two raylets with a core each, on this machine).

python tests/bench/two_nodes.py [--output tests/bench/two_nodes.md]

Ends with 1 unless both nodes worked.
"""

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from workplace import Workplace, leaderboard_table, machine

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"  # nodes beyond loopback, as on an operator's cluster


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--folder", type=Path, help="where to work; an interrupted run goes on there")
    options = parser.parse_args()
    from ray.cluster_utils import Cluster

    place = Workplace("nodes", options.folder)
    shutil.copytree(EXAMPLES / "legal", place.folder / "legal", dirs_exist_ok=True)
    place.add(EXAMPLES / "quickstart.toml")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    try:
        applied, seconds = place.run("apply", "quickstart.toml", "--cluster", cluster.address, "--workers", "2")
    finally:
        cluster.shutdown()
    found, _ = place.run("results")
    lines = (place.folder / ".fewtune" / "journal.jsonl").read_text().splitlines()
    started = [event["data"] for event in map(json.loads, lines) if event["kind"] == "attempt_started"]
    jobs = Counter(str(data["worker"]) for data in started)
    shares = ", ".join(f"{name} ran {count}" for name, count in sorted(jobs.items()))
    text = f"""# The quickstart on two nodes

`python tests/bench/two_nodes.py --output tests/bench/two_nodes.md`, {machine()}. Each node offers one core, so each
holds one of the two workers.

{found["verdict"]["sentence"]}

{leaderboard_table(found, "test")}

{applied["started"]} jobs in {seconds:.0f} s: {shares}.
"""
    print(text)
    if options.output:
        options.output.write_text(text)
    sys.exit(len(jobs) != 2 or applied["state"] != "succeeded")


if __name__ == "__main__":
    main()
