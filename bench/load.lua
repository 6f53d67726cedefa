-- SPDX-License-Identifier: Apache-2.0
-- What wrk says at the end, as one line of JSON; with a file of tokens, each request has the next one.

function init(args)
	if not args[1] then
		return
	end
	local requests, n, at = {}, 0, 0
	for token in io.lines(args[1]) do
		n = n + 1
		requests[n] = wrk.format("GET", wrk.path, {Authorization = "Bearer " .. token})
	end
	request = function()
		at = at % n + 1
		return requests[at]
	end
end

function done(summary, latency)
	local e = summary.errors
	io.write(string.format(
		'RESULT {"requests": %d, "usec": %d, "p50": %d, "p99": %d, "bytes": %d, ' ..
		'"bad_status": %d, "socket_errors": %d}\n',
		summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
		summary.bytes, e.status, e.connect + e.read + e.write + e.timeout))
end
