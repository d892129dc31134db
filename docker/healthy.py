"""Exit 0 when a service answers and says that it is healthy.

``healthy.py URL`` asks for any success; ``healthy.py URL component`` also for
``{"component": {"status": "healthy"}}`` in the answer.
"""

import json
import sys
from urllib.error import URLError
from urllib.request import urlopen

TIMEOUT_SECONDS = 5.0


def why_not(url: str, component: str | None) -> str | None:
    """Why the service is not healthy; None when it is."""
    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own services
            told = json.load(answer) if component else {}
    except (URLError, OSError, ValueError) as error:
        return f"{url}: {error}"
    if component is None:
        return None
    status = (told.get(component) or {}).get("status")
    return None if status == "healthy" else f"{component} is {status}"


if __name__ == "__main__":
    sys.exit(why_not(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
