-- Functions of util take a dot: written with a colon, they would get their own table as the first argument.
local host = ...
local next, type, rawequal, format = next, type, rawequal, string.format
local raise, util = host.raise, host.util_table

-- Those that take one table.
local BRACES = { process = true, now = true, list = true, timedelta = true, request = true }
local function dotted(of, path)
  for name, fn in next, of do
    if type(fn) == "function" then
      local call = format(BRACES[name] and "%s.%s{…}" or "%s.%s(…)", path, name)
      of[name] = function(...)
        if rawequal((...), of) then raise("is called with a dot, not a colon: " .. call) end
        return fn(...)
      end
    end
  end
end
for _, name in next, { "log", "path", "svn", "http", "BuildRequest" } do dotted(util[name], "util." .. name) end
dotted(util, "util")
