"""Regulars: the open member warehouse for shops.

The package runs without Airflow, except for ``regulars.orchestration``.
"""

__version__ = "0.1.0"
