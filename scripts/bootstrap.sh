#!/bin/sh
# Make .venv hold exactly what requirements.lock says, and Regulars itself. Silent and quick when
# it already does. Needs Python 3.11 or 3.12; PYTHON=/path/to/python names one explicitly.
set -eu
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9
VENV=.venv
STAMP=$VENV/.bootstrap-stamp

# Without bytecode `import airflow` takes 11 s instead of 3 s in every process of every night.
unset PYTHONDONTWRITEBYTECODE

say() { printf '==> %s\n' "$*"; }

die() {
    printf '\nbootstrap: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

# "3.11.7" for a Python that runs, nothing otherwise (a version manager's shim may exist and fail).
version_of() {
    "$1" -I -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || true
}

is_supported() {
    case "$1" in 3.11.* | 3.12.*) return 0 ;; *) return 1 ;; esac
}

find_python() {
    found=
    for candidate in ${PYTHON:-python3 python3.12 python3.11}; do
        version=$(version_of "$candidate")
        if is_supported "$version"; then
            python=$candidate
            return 0
        fi
        found="$found $candidate=${version:-none}"
    done
    die "Regulars needs Python 3.11 or 3.12; looked at:$found" \
        "Next: install one of them with its venv module (on Debian or Ubuntu:" \
        "apt-get install python3.11 python3.11-venv), or name one you have:" \
        "make bootstrap PYTHON=/path/to/python3.12"
}

# What an up-to-date environment depends on; the path, because a moved venv does not work.
current_stamp() {
    "$VENV/bin/python" -I -c '
import hashlib, os, sys
digest = hashlib.sha256()
for name in ("requirements.lock", "pyproject.toml", "scripts/bootstrap.sh"):
    with open(name, "rb") as file:
        digest.update(file.read() + b"\0")
print("%s %s %s" % (digest.hexdigest(), sys.version.split()[0], os.getcwd()))
' 2>/dev/null || true
}

# Run a step with its output in the log; show the log's end only when the step fails.
quietly() {
    what=$1
    shift
    if ! "$@" >>"$LOG" 2>&1; then
        printf '\n' >&2
        tail -n 30 "$LOG" >&2
        die "$what failed; the lines above are the end of $LOG" \
            "Next: read them; when a package could not be downloaded, check the network or set" \
            "PIP_INDEX_URL (and UV_DEFAULT_INDEX) to your package mirror, then repeat the command."
    fi
}

# uv does not read pip's configuration: hand over what a machine behind a mirror has set for pip.
adopt_pip_configuration() {
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        index=${PIP_INDEX_URL:-$("$VENV/bin/pip" config get global.index-url 2>/dev/null || true)}
        if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
    fi
    if [ -z "${SSL_CERT_FILE:-}" ]; then
        certificates=${PIP_CERT:-$("$VENV/bin/pip" config get global.cert 2>/dev/null || true)}
        if [ -f "$certificates" ]; then export SSL_CERT_FILE="$certificates"; fi
    fi
}

if [ -x "$VENV/bin/python" ] && is_supported "$(version_of "$VENV/bin/python")"; then
    stamp=$(current_stamp)
    if [ -n "$stamp" ] && [ "$stamp" = "$(cat "$STAMP" 2>/dev/null || true)" ]; then
        exec "$VENV/bin/python" -I scripts/init_env.py --quiet
    fi
    stamped_path=$(cut -d' ' -f3- "$STAMP" 2>/dev/null || true)
    if [ -n "$stamped_path" ] && [ "$stamped_path" != "$(pwd -P)" ]; then
        say "$VENV was made in $stamped_path; making it anew"
        rm -rf "$VENV"
    fi
elif [ -e "$VENV" ]; then
    say "$VENV has no usable Python 3.11 or 3.12; making it anew"
    rm -rf "$VENV"
fi

started=$(date +%s)
if [ ! -x "$VENV/bin/python" ]; then
    find_python
    say "Python $version in $VENV"
    if ! output=$("$python" -m venv "$VENV" 2>&1); then
        rm -rf "$VENV"
        die "$python could not make a virtual environment:" "$output" \
            "Next: install its venv module (on Debian or Ubuntu: apt-get install python3-venv)."
    fi
fi

LOG=$VENV/bootstrap.log
: >"$LOG"
if [ "$("$VENV/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" != "$UV_VERSION" ]; then
    say "uv $UV_VERSION"
    quietly "installing uv" "$VENV/bin/python" -m pip install --disable-pip-version-check \
        "uv==$UV_VERSION"
fi
adopt_pip_configuration
say "$(grep -c '^[a-z0-9].*==' requirements.lock) locked packages (about a minute; log: $LOG)"
quietly "installing the locked packages" "$VENV/bin/uv" pip sync --python "$VENV/bin/python" \
    --require-hashes --compile-bytecode requirements.lock
say "Regulars"
quietly "installing Regulars" "$VENV/bin/uv" pip install --python "$VENV/bin/python" \
    --no-deps --no-build-isolation --editable .
quietly "checking the environment" "$VENV/bin/uv" pip check --python "$VENV/bin/python"
"$VENV/bin/python" -I scripts/init_env.py
current_stamp >"$STAMP"
say "Ready in $(($(date +%s) - started)) s"
