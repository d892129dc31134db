"""``python -m regulars.transform``: parse the dbt project of the installation's settings."""

import time

from regulars.settings import read_settings
from regulars.transform.runner import Transformer

Transformer(read_settings(), time.monotonic).prepare()
