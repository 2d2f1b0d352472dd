"""Does the delivery work? Everything in it, done on this machine with genuine tools before a cloud account exists.

`python -m deploy.rehearsal` (as root, on Debian 12, after the `apt-get install` of docs/reference/rehearsal.md) builds
the image, runs it under Cloud Run's limits, releases it by gcloud to a stand-in of Cloud Run that really starts it,
breaks releases in every way and looks at what callers got. What the machine lacks is skipped, by name.
"""
