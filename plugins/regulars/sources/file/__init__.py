"""Dropped files: CSV, Parquet or XLSX under the contract of docs/reference/file-contract.md."""

from regulars.sources.file.contract import CONTRACT, SOURCE

PAYLOADS = CONTRACT
DROP_GUIDE = "docs/reference/file-contract.md"

__all__ = ["DROP_GUIDE", "PAYLOADS", "SOURCE"]
