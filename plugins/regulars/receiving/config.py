"""config/receiving.yml: who may push what, for which brand, and how much of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regulars.credentials import CredentialsProvider
from regulars.errors import ConfigError
from regulars.shops import ShopsFile, Slug, line_of, read_yaml_model
from regulars.sources.receipts.providers import PROVIDERS
from regulars.sources.receipts.reading import Provider, Rules

SECRET_CHARACTERS = 24
"""Fewest characters of a secret path: 24 random ones of base64 are 144 bits."""

Network = IPv4Network | IPv6Network
Word = Annotated[str, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EndpointEntry(_Model):
    """One address that a provider pushes to.

    Attributes:
        endpoint: name of the endpoint, in logs and manifests.
        provider: whose form it speaks.
        brand: whose messages it may speak about.
        shop: where reports land that name no message of ours.
        connection: Airflow Connection whose password is the secret end of the path; `signing_key`
            in its extra, if there, is what bodies must be signed with.
        networks: from where it may be called; empty for anywhere.
    """

    endpoint: Slug
    provider: Slug
    brand: Slug
    shop: Slug
    connection: Slug
    networks: tuple[Network, ...] = ()


class ReceivingFile(_Model):
    """The whole of config/receiving.yml.

    Attributes:
        public_url: where people and providers reach the service, for links in e-mails.
        trusted_proxies: networks of proxies whose X-Forwarded-For is believed.
        max_body_bytes: largest body taken in.
        max_pushes_per_minute: of one endpoint, per process.
        max_misses_per_minute: requests to addresses that do not exist, per process.
        body_seconds: within which a body must have come.
        ahead_seconds: by which a provider's clock may be ahead of ours.
        reply_days: days after a message within which a reply is taken to be about it.
        refusal_words, refusal_phrases, refusal_codes, machine_agents: see ``Rules``.
    """

    public_url: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    max_body_bytes: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    max_pushes_per_minute: Annotated[int, Field(ge=1)] = 600
    max_misses_per_minute: Annotated[int, Field(ge=1)] = 120
    body_seconds: Annotated[float, Field(gt=0)] = 10.0
    ahead_seconds: Annotated[int, Field(ge=0)] = 300
    reply_days: Annotated[int, Field(ge=1)] = 30
    # Without a word in the file a refusal must not pass for chatter.
    refusal_words: tuple[Word, ...] = ("R", "T", "TD", "退订", "拒收")
    refusal_phrases: tuple[Word, ...] = ("退订", "拒收")
    refusal_codes: tuple[Word, ...] = ("isv.CUSTOMER_REFUSED",)
    machine_agents: tuple[Word, ...] = ()
    endpoints: tuple[EndpointEntry, ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> "ReceivingFile":
        names = [entry.endpoint for entry in self.endpoints]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"endpoint {name!r} is listed twice")
        return self

    @property
    def rules(self) -> Rules:
        """What refuses, and what is no person."""
        return Rules(
            frozenset(self.refusal_words),
            self.refusal_phrases,
            frozenset(self.refusal_codes),
            self.machine_agents,
        )


@dataclass(frozen=True)
class Endpoint:
    """One endpoint with its secrets; ``repr`` shows none of them."""

    entry: EndpointEntry
    provider: Provider
    secret: str = field(repr=False)
    signing_key: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Name of the endpoint."""
        return self.entry.endpoint


def load_receiving(config_dir: Path, shops: ShopsFile) -> ReceivingFile:
    """Read ``config_dir/receiving.yml``.

    Raises:
        ConfigError: it does not fit, or names an unknown provider, brand or shop; names the line.
    """
    path = config_dir / "receiving.yml"
    found = read_yaml_model(path, ReceivingFile)
    shops_of = {brand.brand: {s.shop for s in shops.shops if s.brand == brand.brand}
                for brand in shops.brands}  # fmt: skip
    for number, entry in enumerate(found.endpoints):
        if entry.provider not in PROVIDERS:
            raise _wrong(path, number, "provider", "there is no such provider", PROVIDERS)
        if entry.brand not in shops_of:
            raise _wrong(path, number, "brand", "there is no such brand", shops_of)
        if entry.shop not in shops_of[entry.brand]:
            own = shops_of[entry.brand]
            raise _wrong(path, number, "shop", f"brand {entry.brand} has no such shop", own)
    return found


def _wrong(path: Path, number: int, name: str, what: str, known: Iterable[str]) -> ConfigError:
    line = line_of(path.read_text(encoding="utf-8"), ("endpoints", number, name))
    return ConfigError(
        f"{name}: {what}, only {', '.join(sorted(known)) or 'none'}",
        where=f"{path}:{line}",
        next_step="correct the entry",
    )


def open_endpoints(found: ReceivingFile, credentials: CredentialsProvider) -> tuple[Endpoint, ...]:
    """The endpoints with the secrets of their Connections.

    Raises:
        ConfigError: a Connection is missing, its secret is too short or cannot stand in a path, or
            two endpoints share one; no secret is ever shown.
    """
    endpoints: list[Endpoint] = []
    for entry in found.endpoints:
        connection = credentials(entry.connection)
        secret = connection.password
        fits = secret.isascii() and secret.replace("-", "").replace("_", "").isalnum()
        if len(secret) < SECRET_CHARACTERS or not fits:
            raise _bad_secret(
                f"the secret is shorter than {SECRET_CHARACTERS} characters, or has others than "
                "letters, digits, - and _",
                entry,
            )
        if any(secret == other.secret for other in endpoints):
            raise _bad_secret("another endpoint has the same secret", entry)
        signing_key = connection.extra.get("signing_key", "")
        endpoints.append(Endpoint(entry, PROVIDERS[entry.provider], secret, signing_key))
    return tuple(endpoints)


def _bad_secret(what: str, entry: EndpointEntry) -> ConfigError:
    return ConfigError(
        what,
        where=f"connection {entry.connection} of endpoint {entry.endpoint}",
        next_step="set its password to a new secret, for example of `openssl rand -hex 24`, and "
        "tell the provider the new address",
    )
