"""The only room that opens DuckDB: lock, load raw, control tables, publish, prune."""
