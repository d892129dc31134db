#!/bin/sh
# What a container of the image does, by its first word. Runs without a container just as well.
set -eu
cd "$(dirname "$0")/.."

# Without bytecode `import airflow` takes 11 s instead of 3 s.
unset PYTHONDONTWRITEBYTECODE

# Under the environment that the package gives Airflow; what is set already wins.
with_environment() { python docker/with_environment.py "$@"; }

case "${1:-}" in
prepare)
    # Everything the services find ready: Airflow's tables, the pool, recorded state.
    with_environment airflow db migrate
    with_environment airflow pools set warehouse 1 'One writer of the warehouse'
    regulars status
    ;;
api-server)
    python docker/write_login.py
    exec python docker/with_environment.py airflow api-server
    ;;
scheduler | dag-processor)
    exec python docker/with_environment.py airflow "$1"
    ;;
sandbox)
    # With the inbox, the shop's first nine months come as file drops.
    exec python -m regulars.sandbox serve --inbox "$REGULARS_DATA_DIR/inbox"
    ;;
receive)
    # All addresses of the container: what reaches it is what Compose publishes.
    exec regulars receive --host 0.0.0.0 --port 8791
    ;;
regulars)
    exec "$@"
    ;;
*)
    echo "usage: entrypoint.sh prepare|api-server|scheduler|dag-processor|sandbox|receive|regulars …" >&2
    exit 64
    ;;
esac
