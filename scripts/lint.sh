#!/usr/bin/env bash
# Every check that reads code without running it. All of them run; any failure fails the whole.
set -u
cd "$(dirname "$0")/.."
BIN=.venv/bin
failed=()

check() {
    local name=$1 started=$SECONDS output
    shift
    if output=$("$@" 2>&1); then
        printf '  ok    %-12s %3d s\n' "$name" $((SECONDS - started))
    else
        printf '%s\n  FAIL  %-12s %3d s\n' "$output" "$name" $((SECONDS - started))
        failed+=("$name")
    fi
}

echo "lint"
check "ruff" "$BIN/ruff" check .
check "ruff format" "$BIN/ruff" format --check .
check "mypy" "$BIN/mypy"
check "sqlfluff" "$BIN/python" scripts/lint_sql.py lint

if ((${#failed[@]})); then
    printf '\nlint failed: %s\nNext: make format mends most of ruff and sqlfluff.\n' "${failed[*]}"
    exit 1
fi
