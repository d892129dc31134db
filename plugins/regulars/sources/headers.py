"""Header cells of files as column names."""

import unicodedata


def normal_name(name: object) -> str:
    """A header cell as a column name: full-width to half-width, lower case, blanks ``_``."""
    text = unicodedata.normalize("NFKC", str(name or "")).replace("\ufeff", "")
    return "_".join(text.strip("\"' \t\r\n=").lower().replace("-", " ").split())
