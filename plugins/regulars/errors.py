"""Errors of Regulars.

Every error names the thing that failed, the place where it failed and the next step for the
person who reads it at night. None of the three may carry personal data or a secret.
"""


class RegularsError(Exception):
    """Base of all errors that a user of Regulars may see.

    Args:
        what: what went wrong, as one clause.
        where: the shop, stream, file, model or expectation concerned.
        next_step: what the reader should do now, as an imperative sentence.
    """

    def __init__(self, what: str, *, where: str, next_step: str) -> None:
        super().__init__(f"{what} [{where}] Next: {next_step}")
        self.what = what
        self.where = where
        self.next_step = next_step


class ConfigError(RegularsError):
    """A file below config/ or a setting is wrong."""


class SourceError(RegularsError):
    """A platform or a file drop could not be read."""


class AuthenticationFailed(SourceError):
    """The platform refused key, signature or session; repeating the call cannot help."""


class SchemaChanged(SourceError):
    """The platform answered in a shape that its documentation does not allow."""


class SourceUnavailable(SourceError):
    """The platform stayed unavailable after every retry."""


class QuotaExhausted(SourceError):
    """The platform's daily quota is used up; it opens again on the next day."""


REFUSALS = (AuthenticationFailed, QuotaExhausted)
"""What a platform says to every further call as well: nothing more is asked of it in this run."""


class LandingError(RegularsError):
    """A batch could not be written to, or read back from, the landing folder."""


class QuarantineExceeded(RegularsError):
    """More records of a stream were quarantined than its configured share allows."""


class VaultKeyError(RegularsError):
    """The key for personal data is missing, malformed or not the one of this vault."""


class StateError(RegularsError):
    """Recorded state could not be read or written."""


class LeaseHeld(RegularsError):
    """Another night holds the run lease."""


class WarehouseLocked(RegularsError):
    """Another process holds the warehouse."""


class WarehouseError(RegularsError):
    """The warehouse refused a load, an attachment or a publication."""


class TransformFailed(RegularsError):
    """dbt failed; the message names the first failed model or test."""


class GateFailed(RegularsError):
    """A critical expectation failed at a gate."""


class QueueError(RegularsError):
    """A message could not be committed or exported."""


class NightError(RegularsError):
    """A night cannot be opened, continued or replayed."""


class FileRefused(SourceError):
    """A dropped file cannot be read, so that nothing of it has landed: it is in quarantine."""


class ErasureError(RegularsError):
    """Nobody is known by what was given, or an erasure was not confirmed or is not finished."""


LASTING = (*REFUSALS, FileRefused, ConfigError, SchemaChanged, VaultKeyError)
"""What is the same minutes later: a task that failed with it is not worth repeating by itself."""
