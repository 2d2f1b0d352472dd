"""Which version answers?

A `Deployments` holds the names that callers use. Behind each `Deployment` stands one loaded version, and a
reference that it follows: a look at the registry now and then (`watcher`), a candidate fetched and verified
(`opening`), tried out in a process of its own (`gate`, `probe`), loaded beside the live one (`preparation`), and
switched to by moving one pointer (`live`). What changed when and why is the `history`.

`open_model` opens a model once, for a command that follows nothing. `Webhooks` says whether a registry's call is
genuine; it is a hint to look, and nothing in it is believed.
"""

from matinee.rollout.deployment import Deployment
from matinee.rollout.deployments import Deployments
from matinee.rollout.history import Entry
from matinee.rollout.live import Live
from matinee.rollout.opening import Opened, Stages, open_model
from matinee.rollout.options import GateLimits, ProbationLimits, RolloutOptions
from matinee.rollout.state import DeploymentState, PollState, RefusalState, VersionState
from matinee.rollout.webhooks import Webhooks

__all__ = [
    "Deployment",
    "DeploymentState",
    "Deployments",
    "Entry",
    "GateLimits",
    "Live",
    "Opened",
    "PollState",
    "ProbationLimits",
    "RefusalState",
    "RolloutOptions",
    "Stages",
    "VersionState",
    "Webhooks",
    "open_model",
]
