"""Write the login of the Airflow UI: user ``admin`` with AIRFLOW_ADMIN_PASSWORD."""

import json
import os
import sys
from pathlib import Path

path = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
password = os.environ.get("AIRFLOW_ADMIN_PASSWORD")
if not password:
    sys.exit("AIRFLOW_ADMIN_PASSWORD is empty. Next: make bootstrap fills it in .env.")
path.parent.mkdir(parents=True, exist_ok=True)
draft = path.with_name(f"{path.name}.{os.getpid()}.part")
descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
with os.fdopen(descriptor, "w", encoding="utf-8") as file:
    json.dump({"admin": password}, file)
draft.replace(path)
