"""Start Ray and Ray Serve in the foreground, on PORT, without the dashboard."""

import os
import signal

import ray
from ray import serve
from rayserve import app

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
serve.run(app, route_prefix="/")
signal.sigwait({signal.SIGTERM, signal.SIGINT})
serve.shutdown()
ray.shutdown()
