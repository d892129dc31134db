"""Runs dbt: few invocations, one per subject, with the failed model named and seconds recorded."""
