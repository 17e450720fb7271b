-- wrk against etcd's JSON gateway: arguments are the command (set or get), the size of values, the
-- number of keys.  Keys are those of redis-benchmark, key:%012d; keys and values go in base64.  All
-- keys have one length, so a request is four strings put together.

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local out = {}
  for at = 1, #text, 3 do
    local a, b, c = text:byte(at, at + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    local digits = { 262144, 4096, 64, 1 }
    for place, unit in ipairs(digits) do
      local digit = math.floor(bits / unit) % 64
      local beyond = (place == 3 and not b) or (place == 4 and not c)
      out[#out + 1] = beyond and "=" or ALPHABET:sub(digit + 1, digit + 1)
    end
  end
  return table.concat(out)
end

local keys = {}
local head, tail

function init(args)
  local command, size, count = args[1], tonumber(args[2]), tonumber(args[3])
  for number = 1, count do
    keys[number] = base64(string.format("key:%012d", number - 1))
  end
  local path, close
  if command == "set" then
    path, close = "/v3/kv/put", '","value":"' .. base64(string.rep("x", size)) .. '"}'
  else
    path, close = "/v3/kv/range", '"}'
  end
  local open = '{"key":"'
  local length = #open + #keys[1] + #close
  head = "POST " .. path .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    .. "Content-Length: " .. length .. "\r\n\r\n" .. open
  tail = close
  math.randomseed(os.time())
end

function request()
  return head .. keys[math.random(#keys)] .. tail
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\n{"rps": %.2f, "p50_ms": %.3f, "p99_ms": %.3f, "requests": %d, "errors": %d}\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.requests, failed
  ))
end
