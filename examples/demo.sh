#!/bin/sh
# The main job, step by step: plan, apply, results, SQL, prediction. Usage: demo.sh path/to/fewtune
set -e
fewtune=$1
cd "$(dirname "$0")"
case $fewtune in /*) ;; *) fewtune=../$fewtune ;; esac
step() { printf '\n$ fewtune %s\n' "$1"; }

step 'plan quickstart.toml'
$fewtune plan quickstart.toml

step 'apply quickstart.toml'
$fewtune apply quickstart.toml

query="SELECT arm, count(*) AS errors FROM predictions WHERE split = 'test' AND NOT correct GROUP BY arm ORDER BY errors"
step "sql \"$query\""
$fewtune sql "$query"

clause="Either side may walk away on thirty days' written word; sums already earned stay due."
step "predict --probabilities   # with: $clause"
echo "$clause" | $fewtune predict --probabilities
