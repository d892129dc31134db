#!/usr/bin/env bash
# sqlfluff over the dbt project through dbt's own templater, against a database in memory.
# Usage: lint_sql.sh lint|fix
set -euo pipefail
cd "$(dirname "$0")/.."

# dbt's build products of a lint go beside nothing that a night uses.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export DBT_TARGET_PATH="$scratch/target" DBT_LOG_PATH="$scratch/logs"
export REGULARS_WAREHOUSE_PATH=":memory:" REGULARS_MARTS_PATH=":memory:"

folders=(dbt_project/models)
if compgen -G "dbt_project/tests/*.sql" >"$scratch/tests"; then folders+=(dbt_project/tests); fi

.venv/bin/sqlfluff "${1:-lint}" --processes 0 --disable-progress-bar "${folders[@]}"
