#!/usr/bin/env bash
# Every check that reads code without running it. All of them run; any failure fails the whole.
# mypy runs beside the others: it keeps one core, and sqlfluff shares what is left.
set -u
cd "$(dirname "$0")/.."
BIN=.venv/bin
failed=()
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What a check says and how long it took, as `report` reads it.
run() {
    local name=$1 started=$SECONDS status=0
    shift
    "$@" >"$scratch/$name.output" 2>&1 || status=$?
    echo "$status $((SECONDS - started))" >"$scratch/$name.result"
}

report() {
    local name=$1 status=1 seconds=0
    read -r status seconds <"$scratch/$name.result"
    if ((status == 0)); then
        printf '  ok    %-12s %3d s\n' "$name" "$seconds"
    else
        cat "$scratch/$name.output"
        printf '  FAIL  %-12s %3d s\n' "$name" "$seconds"
        failed+=("$name")
    fi
}

echo "lint"
run "mypy" "$BIN/mypy" &
run "ruff" "$BIN/ruff" check .
report "ruff"
run "ruff format" "$BIN/ruff" format --check .
report "ruff format"
run "sqlfluff" "$BIN/python" scripts/lint_sql.py lint
report "sqlfluff"
run "portable SQL" "$BIN/python" scripts/lint_portability.py
report "portable SQL"
wait
report "mypy"

if ((${#failed[@]})); then
    printf '\nlint failed: %s\nNext: make format mends most of ruff and sqlfluff.\n' "${failed[*]}"
    exit 1
fi
