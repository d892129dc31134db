"""Run a command under Airflow's environment of this project; what is set already wins."""

import os
import sys

from regulars.airflow_home import apply_airflow_environment

apply_airflow_environment()
os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the entrypoint's own words
