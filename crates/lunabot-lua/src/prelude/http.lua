-- util.http: how requests are written, and how answers and errors look.
local host = ...
local next, type, setmetatable, getmetatable, rawget, tostring = next, type, setmetatable, getmetatable, rawget, tostring
local lower, upper, format, gsub, sub, find = string.lower, string.upper, string.format, string.gsub, string.sub, string.find
local raise, util = host.raise, host.util_table

-- Names of headers are the same in capitals and small letters.
local Headers = { __index = function(headers, name) return type(name) == "string" and rawget(headers, lower(name)) or nil end }

local Answer = {}
Answer.__index = Answer
function Answer:json()
  return util.parse_json(self.body)
end

local function options_of(defaults, given, method)
  if type(given) == "string" then given = { given } end
  if type(given) ~= "table" then raise("util.http takes a table: util.http.get{\"https://…\", timeout = 5}") end
  local options = { method = method or "GET" }
  for _, source in next, { defaults, given } do
    for name, value in next, source do
      if name == 1 then name = "url" end
      if name == "headers" and options.headers then value = util.merge(options.headers, value) end
      options[name] = value
    end
  end
  local base = options.base_url
  if base then
    base = gsub(base, "/+$", "")
    local url, size = options.url, #base
    if type(url) == "string" and sub(url, 1, 1) == "/" then
      options.url = base .. url
    elseif type(url) ~= "string" or sub(url, 1, size) ~= base or not find(url, "^[/?]", size + 1) then
      raise("util.http: this session asks " .. base .. " alone: session:get{\"/path\"}")
    end
    options.base_url = nil
  end
  if type(options.method) ~= "string" then raise("util.http: method is a text") end
  options.method = upper(options.method)
  return options
end

local function send(clients, defaults, given, method)
  local answer = host.http_request(clients, options_of(defaults, given, method))
  setmetatable(answer.headers, Headers)
  return setmetatable(answer, Answer)
end

local METHODS = { get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE", head = "HEAD", options = "OPTIONS" }
local common = host.http_clients(false)
util.http = { request = function(given) return send(common, {}, given) end }
for name, method in next, METHODS do
  util.http[name] = function(given)
    if given == util.http then raise(format("is called with a dot, not a colon: util.http.%s{…}", name)) end
    return send(common, {}, given, method)
  end
end

-- A session keeps cookies and has options for all its requests.
local Session = {}
Session.__index = Session
function util.http.session(defaults)
  return setmetatable({ clients = host.http_clients(true), defaults = defaults or {} }, Session)
end
function Session:request(given) return send(self.clients, self.defaults, given) end
for name, method in next, METHODS do
  Session[name] = function(session, given)
    if getmetatable(session) ~= Session then raise(format("is called with a colon, not a dot: session:%s{…}", name)) end
    return send(session.clients, session.defaults, given, method)
  end
end

-- Sessions that the master lends (`self.http`): the same one for the same options.
local lent = setmetatable({}, { __mode = "v" })
function host.session_of(options)
  local key = format("%s %s %s", options.base_url, options.token, options.verify)
  lent[key] = lent[key] or util.http.session(options)
  return lent[key]
end

-- Errors that have a kind: a text to whoever only shows them.
local Failed = {
  __tostring = function(err) return err.message end,
  __concat = function(a, b) return tostring(a) .. tostring(b) end,
}
host.failed = function(kind, message) return setmetatable({ kind = kind, message = message }, Failed) end
