"""The only room that imports Airflow: what the DAG files need and nothing else."""
