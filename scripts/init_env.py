"""Create .env from .env.example, or add to it what a newer .env.example asks for.

Secrets that .env.example leaves empty are generated. A value that is already there is never
changed, nor is a line that somebody commented out on purpose. Only the standard library is used:
the script runs before anything is installed.
"""

import argparse
import base64
import json
import os
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINE = re.compile(r"^(?P<off>#\s?)?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$")

SANDBOX = "http://127.0.0.1:8790"
PII_CONNECTION = "AIRFLOW_CONN_REGULARS_PII"

Values = dict[str, str]


class EnvError(Exception):
    """.env cannot be completed; the message says what to do."""


def parse(text: str) -> tuple[Values, set[str]]:
    """The active values of an env file, unquoted, and the names that are commented out."""
    active: Values = {}
    off: set[str] = set()
    for line in text.splitlines():
        match = LINE.match(line.strip())
        if not match:
            continue
        if match["off"]:
            off.add(match["name"])
        else:
            active[match["name"]] = unquote(match["value"])
    return active, off


def unquote(value: str) -> str:
    """The value as a shell, Compose and python-dotenv read it: 'a', "a", or a # comment."""
    value = value.strip()
    if value[:1] in ("'", '"'):
        return value[1:].partition(value[0])[0]
    return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()


def pii_connection(values: Values) -> str:
    """The Connection whose password is the key for personal data: 32 random bytes, base64."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    return json.dumps({"conn_type": "generic", "password": key})


def demo_connection(
    path: str, named: str = "access_token", **extra: str
) -> Callable[[Values], str]:
    """A sandbox shop as a Connection, with the secrets that the sandbox itself verifies.

    ``path`` is where its platform's gateway answers; ``named`` is what the platform calls the
    seller's token, and ``extra`` what else its source wants to know.
    """

    def connection(values: Values) -> str:
        return json.dumps(
            {
                "conn_type": "http",
                "host": SANDBOX + path,
                "login": values.get("REGULARS_SANDBOX_APP_KEY") or "sandbox",
                "password": values["REGULARS_SANDBOX_APP_SECRET"],
                "extra": {named: values["REGULARS_SANDBOX_SESSION"], **extra},
            }
        )

    return connection


# In this order: a later value may be made of an earlier one.
GENERATED: dict[str, Callable[[Values], str]] = {
    "REGULARS_SANDBOX_APP_SECRET": lambda _: secrets.token_hex(16),
    "REGULARS_SANDBOX_SESSION": lambda _: secrets.token_hex(24),
    PII_CONNECTION: pii_connection,
    "AIRFLOW_CONN_REGULARS_DEMO_GROCER": demo_connection("/router/rest", "session"),
    "AIRFLOW_CONN_REGULARS_DEMO_JD": demo_connection("/routerjson"),
    "AIRFLOW_CONN_REGULARS_DEMO_PDD": demo_connection("/api/router", refunds_at_once="true"),
    "AIRFLOW_CONN_REGULARS_DEMO_DOUDIAN": demo_connection(""),
    "AIRFLOW_CONN_REGULARS_DEMO_SHOPIFY": demo_connection(""),
    "AIRFLOW__API_AUTH__JWT_SECRET": lambda _: secrets.token_hex(48),
    "AIRFLOW__API__SECRET_KEY": lambda _: secrets.token_hex(32),
    "AIRFLOW__CORE__FERNET_KEY": lambda _: base64.urlsafe_b64encode(
        secrets.token_bytes(32)
    ).decode(),
    "AIRFLOW_ADMIN_PASSWORD": lambda _: secrets.token_urlsafe(15),
    # Letters and digits: they stand in URLs of docker-compose.yml.
    "POSTGRES_PASSWORD": lambda _: secrets.token_hex(16),
    "RABBITMQ_PASSWORD": lambda _: secrets.token_hex(16),
}


def blocks(example: str) -> dict[str, str]:
    """Each active name of .env.example with its comment lines, as one block of text."""
    found: dict[str, str] = {}
    comments: list[str] = []
    for line in example.splitlines():
        match = LINE.match(line)
        if match and not match["off"]:
            found[match["name"]] = "\n".join([*comments, line])
            comments = []
        elif match or not line.startswith("#"):
            comments = []
        else:
            comments.append(line)
    return found


def with_missing_names(text: str, example: str) -> str:
    """``text`` followed by the blocks of those active names that it does not mention at all."""
    active, off = parse(text)
    missing = [block for name, block in blocks(example).items() if name not in active.keys() | off]
    return "\n\n".join([text.rstrip("\n"), *missing]) + "\n" if missing else text


def with_secrets(text: str, *, vault_exists: bool) -> tuple[str, list[str]]:
    """``text`` with every empty generated name filled in, and the names that were filled.

    Raises:
        EnvError: the key for personal data is gone although a vault exists that needs it.
    """
    values, _ = parse(text)
    filled: list[str] = []
    for name, generate in GENERATED.items():
        if name not in values or values[name]:
            continue
        if name == PII_CONNECTION and vault_exists:
            raise EnvError(
                f"{name} is empty in .env, but there is a vault that was written with a key.\n"
                "  Next: put that key back from your backup. A new key cannot read the vault;\n"
                "  docs/runbooks/night-failed.md says what can be done when the key is lost."
            )
        values[name] = generate(values)
        text = re.sub(
            rf"^{name}=.*$", lambda _, n=name: f"{n}='{values[n]}'", text, count=1, flags=re.M
        )
        filled.append(name)
    return text, filled


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` in one step by a file that only its owner may read."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def vault_path(root: Path, values: Values) -> Path:
    """Where the vault of this installation stands, as regulars.settings says."""
    data_dir = os.environ.get("REGULARS_DATA_DIR") or values.get("REGULARS_DATA_DIR") or "data"
    return root / data_dir / "vault" / "vault.db"


def initialise(root: Path) -> list[str]:
    """Bring ``root/.env`` up to date; returns what was done, one sentence each.

    Raises:
        EnvError: see :func:`with_secrets`.
    """
    example = (root / ".env.example").read_text(encoding="utf-8")
    path = root / ".env"
    before = path.read_text(encoding="utf-8") if path.exists() else None
    text = example if before is None else with_missing_names(before, example)
    values, _ = parse(text)
    text, filled = with_secrets(text, vault_exists=vault_path(root, values).exists())
    if text == before:
        return []
    write_private(path, text)
    done = [".env written (only you may read it)" if before is None else ".env completed"]
    if before is not None:
        known = parse(before)[0]
        done += [f"added {name}" for name in parse(text)[0] if name not in known]
    if filled:
        done.append(f"secrets generated: {len(filled)}")
    if PII_CONNECTION in filled:
        done.append("back up .env: it holds the only key to the contact data in the vault")
    return done


def main() -> int:
    """Command line; 0 when .env is complete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="say nothing when nothing was done")
    options = parser.parse_args()
    try:
        done = initialise(ROOT)
    except EnvError as error:
        sys.stderr.write(f"\nbootstrap: {error}\n")
        return 1
    if not done and not options.quiet:
        done = [".env is complete"]
    for sentence in done:
        sys.stdout.write(f"==> {sentence}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
