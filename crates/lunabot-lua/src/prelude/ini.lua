-- Documents in the form of INI files.
local host = ...
local rawget, setmetatable, tonumber, math = rawget, setmetatable, tonumber, math
local find, gmatch, match = string.find, string.gmatch, string.match
local raise, orders, util = host.raise, host.orders, host.util_table

-- load_ini: sections in their order, values are texts; section:bool/int/list(key, default). A key that is called as one
-- of these hides it in its section; getmetatable(section).list(section, key) calls it all the same.
local Section = {}
-- Where a section is from.
local places = setmetatable({}, { __mode = "k" })
local function wrong_value(section, key, what, value)
  raise((places[section] or "") .. key .. " is not " .. what .. ": " .. value)
end
Section.__index = Section
local BOOLS = { ["1"] = true, yes = true, ["true"] = true, on = true, ["0"] = false, no = false, ["false"] = false, off = false }
function Section:bool(key, default)
  local v = rawget(self, key)
  if v == nil then return default end
  local b = BOOLS[v:lower()]
  if b == nil then wrong_value(self, key, "a boolean", v) end
  return b
end
function Section:int(key, default)
  local v = rawget(self, key)
  if v == nil then return default end
  return math.tointeger(tonumber(v)) or wrong_value(self, key, "a whole number", v)
end
function Section:list(key, default)
  local v = rawget(self, key)
  if v == nil then return default end
  local list = {}
  for item in gmatch(v, "[^,\n]+") do
    item = util.strip(item)
    if item ~= "" then list[#list + 1] = item end
  end
  return list
end
local function put(t, key, value)
  if rawget(t, key) == nil then orders[t][#orders[t] + 1] = key end
  t[key] = value
end
local function parse_ini(text, file)
  local ini, number, section, last = {}, 0, nil, nil
  orders[ini] = {}
  local function wrong(what) raise((file and file .. ":" or "line ") .. number .. ": " .. what) end
  for line in gmatch(text .. "\n", "(.-)\r?\n") do
    number = number + 1
    local name = match(line, "^%s*%[(.-)%]%s*$")
    local key, value = match(line, "^([^%s#;:=][^:=]-)%s*[:=]%s*(.-)%s*$")
    if find(line, "^%s*$") or find(line, "^%s*[#;]") then
      -- nothing
    elseif name then
      section = ini[name] or setmetatable({}, Section)
      orders[section] = orders[section] or {}
      places[section] = (file and file .. ": " or "") .. "[" .. name .. "] "
      put(ini, name, section)
      last = nil
    elseif find(line, "^%s") and last then
      section[last] = section[last] .. "\n" .. util.strip(line)
    elseif not section then wrong("a [section] is missing before " .. line)
    elseif key then
      put(section, key, value)
      last = key
    else wrong("expected key = value, got " .. line) end
  end
  return ini
end
function util.parse_ini(text) return parse_ini(text) end
function util.load_ini(name) return parse_ini(util.read_file(name), name) end

