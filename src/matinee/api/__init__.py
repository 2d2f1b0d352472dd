"""HTTP in, JSON out: which request is this, who may ask it, and what does the answer look like?

A request passes `guard` (time and size of what arrives), `edge` (request id, route, key, errors) and one handler;
`predict` is the one that matters. Each module holds one group of routes as a list of `Endpoint`s, from which the
OpenAPI document is made too. `server` runs it all.
"""
