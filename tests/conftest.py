"""What every test stands on."""

import os
import tempfile

from regulars.airflow_home import airflow_environment

# A throwaway Airflow; its environment must stand before anything imports it.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="regulars-airflow-")
os.environ.update(airflow_environment())
