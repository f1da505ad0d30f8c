"""The errors of Millrace, by what the one who catches them does.

MillraceError
|- Refused          a message that does not decode or breaks its contract: dead letter, or a 4xx naming the field
|- Parked           a message of a newer version than this deployment knows: set aside until the upgrade
|- Unavailable      a dependency gave no answer in time: retried by its adapter, then the process ends (exit 70)
|- Unknown          a send whose outcome is not known: the process ends (exit 70) and the log is replayed
|- Fenced           another owner wrote, or the store went back: the process ends (exit 70) and seeks back
|- DataGap          the log no longer holds what must be read: refuse to start (exit 78)
`- Misconfigured    a setting, a file or a home folder that cannot work: refuse to start (exit 78)
"""

from millrace.refusals import Parked, Refused

__all__ = [
    "EXIT_CONFIGURATION",
    "EXIT_CRASH",
    "DataGap",
    "Fenced",
    "MillraceError",
    "Misconfigured",
    "Parked",
    "Refused",
    "Unavailable",
    "Unknown",
]

EXIT_CRASH = 70
EXIT_CONFIGURATION = 78


class MillraceError(Exception):
    """Root of every error that Millrace raises on purpose."""


class Unavailable(MillraceError):
    """A dependency did not answer within its deadline."""


class Unknown(MillraceError):
    """A send passed its deadline: it may or may not have landed."""


class Fenced(MillraceError):
    """The store is not as this writer left it: another owner, or a store that went back."""


class DataGap(MillraceError):
    """The log starts after the place that must be read next."""


class Misconfigured(MillraceError):
    """A setting, file or home folder that cannot work; the text names the mend."""
