"""How does a change reach the users of Cloud Run, and how does a bad one not reach them?

`Release` puts one image and one model in front of users in steps (candidate without traffic, smoke test, canary,
promotion) and gives the old revision back all of it when any step fails; `Refresh` does that when the registry has
another model. The command line is `python -m deploy.release`; it needs Python 3.11 and gcloud, and no package.
"""

from deploy.release.config import Config, load_config
from deploy.release.control import Control, Gcloud
from deploy.release.refresh import Refresh
from deploy.release.steps import Release

__all__ = ["Config", "Control", "Gcloud", "Refresh", "Release", "load_config"]
