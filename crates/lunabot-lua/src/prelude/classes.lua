-- What objects of classes do best in Lua: methods in terms of others, and calls for many lines at once.
local host = ...
local type, select, ipairs, setmetatable, next, rawequal = type, select, ipairs, setmetatable, next, rawequal
local raise = host.raise

-- Calls a method for each line of a batch.
function host.each_line(method, this, lines)
  for i = 1, #lines do method(this, lines[i]) end
end

-- An iterator over lines that come in batches.
function host.lines_of(source)
  local stream, batch, i = nil, {}, 0
  return function()
    while i >= #batch do
      local got = source:next()
      if not got then return nil end
      stream, batch, i = got.stream, got.lines, 0
    end
    i = i + 1
    return stream, batch[i]
  end
end

-- Methods of the master's objects, of whatever class.
local methods = {}
host.live_methods = methods

-- self:spawn(fn) of what acts: runs beside it until it is stopped, again after an error.
function methods.spawn(source, fn)
  if type(fn) ~= "function" then raise("takes a function: self:spawn(function() … end)") end
  host.spawn_for(source, fn)
end

-- self:callLater(seconds, fn) of what acts: calls it once, unless it is cancelled or its object ends before.
local Timer = {}
Timer.__index = Timer
function methods.callLater(object, seconds, fn)
  if type(fn) ~= "function" then raise("takes seconds and a function: self:callLater(60, function() … end)") end
  return setmetatable({ handle = host.call_later(object, host.seconds(seconds), fn) }, Timer)
end
function Timer:cancel() host.timer_cancel(host.handle_of(self, Timer, "timer:cancel()")) end
function Timer:active() return host.timer_active(host.handle_of(self, Timer, "timer:active()")) end

-- self:serve(path, fn) of a change source: requests to /change_hook/custom/PATH until it is deactivated.
function methods.serve(source, path, fn)
  if type(path) ~= "string" or type(fn) ~= "function" then
    raise("takes a path and a function: self:serve(\"path\", function(request) … end)")
  end
  path = host.plain_serve(source, path, host.written_at(fn))
  host.serve_for(source, path, fn)
end

-- What the master calls for such a request.
function host.serve_call(source, path, request)
  local fn = host.served(source, path)
  return fn and fn(request)
end

-- What formatter:buildAdditionalContext(master, ctx) adds to the context of a message: names that it assigned, and the
-- table that it returned. False and a type: it returned something else.
function host.context_call(formatter, master, ctx)
  local before, added = {}, {}
  for name, value in next, ctx do before[name] = value end
  local more = formatter:buildAdditionalContext(master, ctx)
  for name, value in next, ctx do
    if not rawequal(before[name], value) then added[name] = value end
  end
  if more ~= nil and type(more) ~= "table" then return false, type(more) end
  if more ~= nil and more ~= ctx then
    for name, value in next, more do added[name] = value end
  end
  return added
end

-- build:getSummaryStatistic(name, fold, initial): one value out of those of all steps (05.016).
function methods.getSummaryStatistic(build, name, fold, initial)
  if type(fold) ~= "function" then
    raise("getSummaryStatistic takes a name, a function of two values and the first value")
  end
  local result = initial
  for i, value in ipairs(build:summaryValues(name)) do
    if i == 1 and initial == nil then result = value else result = fold(result, value) end
  end
  return result
end

-- cmd:useLogDelayed(logfileName, activateCallBack, closeWhenFinished): the function makes the log when the worker sends
-- something of the file. It belongs to the step that runs the command.
local makers = setmetatable({}, { __mode = "k" })
function methods.useLogDelayed(cmd, name, activate, close)
  if type(name) == "table" then
    name, activate, close = name.logfileName, name.activateCallBack, name.closeWhenFinished
  end
  if type(name) ~= "string" or type(activate) ~= "function" then
    raise("takes a name and a function: cmd:useLogDelayed(\"name\", function() return self:addLog(\"name\") end)")
  end
  host.plain_useLogDelayed(cmd, name, nil, close)
  local known = makers[cmd] or {}
  makers[cmd], known[name] = known, activate
end

-- worker:shell{command = …}: three values.
function methods.shell(worker, ...)
  local ran = host.plain_shell(worker, ...)
  return ran.rc, ran.stdout, ran.stderr
end

function methods.runCommand(step, cmd, ...)
  if select("#", ...) > 0 then raise("runCommand(cmd): takes 1 argument, got " .. 1 + select("#", ...)) end
  return host.plain_runCommand(step, cmd, cmd ~= nil and makers[cmd] or nil)
end
