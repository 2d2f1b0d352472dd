-- POST one body a request, from a file with one body a line, in random order and another one in each thread.
-- BODIES: the file. ROUTE: the path. TYPE: the content type.
local bodies = {}
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("seed", threads)
end

function init(args)
  for line in io.lines(os.getenv("BODIES")) do
    bodies[#bodies + 1] = line
  end
  math.randomseed(1000 + seed)
  wrk.method = "POST"
  wrk.path = os.getenv("ROUTE")
  wrk.headers["Content-Type"] = os.getenv("TYPE") or "application/json"
  requests = {}
  for i = 1, #bodies do
    requests[i] = wrk.format(nil, nil, nil, bodies[i])
  end
end

function request()
  return requests[math.random(#requests)]
end

-- One line of JSON that bench.py reads: counts, latencies in microseconds.
function done(summary, latency, rates)
  io.write(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "refused_or_failed": %d, "socket_errors": %d, "p50": %d, "p90": %d, "p99": %d}\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99)))
end
