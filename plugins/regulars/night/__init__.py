"""The steps of a night in order. Each is idempotent, runs without Airflow and may be killed."""
