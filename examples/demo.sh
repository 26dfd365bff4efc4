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

query="SELECT label, round(avg(CAST(correct AS INT)), 2) AS recall, count(*) AS predictions FROM predictions
  WHERE arm LIKE 'pattern%' AND split = 'test' GROUP BY label ORDER BY recall"
step "sql \"$query\""
$fewtune sql "$query"

clause="Either party may end this agreement by giving the other thirty days' written notice."
step "predict --probabilities   # with: $clause"
echo "$clause" | $fewtune predict --probabilities
