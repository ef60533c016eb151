-- Think time, and what wrk's own report leaves out: one line `result {…}` of JSON, times in µs.

local think_ms = tonumber(os.getenv('THINK_MS') or '0')
local connections = tonumber(os.getenv('CONNECTIONS') or '0')

if think_ms > 0 then
  local begun = 0
  -- The first requests are spread over the think time, or all users would go in step.
  function delay()
    if begun >= connections then return think_ms end
    begun = begun + 1
    return math.floor(begun * think_ms / connections)
  end
end

if os.getenv('BODY') then
  wrk.method = 'POST'
  wrk.body = os.getenv('BODY')
  wrk.headers['Content-Type'] = 'application/json'
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    'result {"requests":%d,"durationMicros":%d,"failed":%d,"p50Micros":%d,"p95Micros":%d,"p99Micros":%d}\n',
    summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)
  ))
end
