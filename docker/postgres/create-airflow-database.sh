#!/bin/sh
# Runs once, when PostgreSQL starts on an empty volume: Airflow's metadata gets a database beside
# that of recorded state, so that either can be restored without the other.
set -eu
createdb --username "$POSTGRES_USER" --maintenance-db "$POSTGRES_DB" "${AIRFLOW_DATABASE:-airflow}"
