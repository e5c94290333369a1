---@meta lunabot.test

---What `require "lunabot.test"` gives in files NAME_test.lua, run by `lunabot test`.
---@class lunabot.test
local t = {}

---@class lunabot.test.Options
---@field at? string|number what the clock shows at the start: "2024-03-31T00:30:00+01:00", or seconds since 1970

---Declares a test. Each has a master, an interpreter and a clock of its own.
---@param name string
---@param fn fun(m: lunabot.test.Master)
---@overload fun(name: string, options: lunabot.test.Options, fn: fun(m: lunabot.test.Master))
function t.test(name, fn) end

---@param had any
---@param expected any a text, a number, true, false or nil
---@param what? string told when it fails
function t.equal(had, expected, what) end

---Lists and tables that are the same at any depth.
---@param had any
---@param expected any
---@param what? string
function t.same(had, expected, what) end

---Neither nil nor false.
---@param value any
---@param what? string
function t.truthy(value, what) end

---@param text string
---@param pattern string a regular expression, found anywhere in the text
---@param what? string
function t.matches(text, pattern, what) end

---@param message? string
function t.fail(message) end

---Calls a function that must raise an error; gives its text.
---@param fn fun()
---@param pattern? string
---@param what? string
---@return string
function t.error(fn, pattern, what) end

---Answers `util.http` in place of servers.
---@param fn fun(request: { method: string, url: string, headers?: table<string, string>, body?: string, json?: any }): { status?: integer, body?: string, json?: any, headers?: table<string, string> }
function t.on_http(fn) end

---Answers `util.process` in place of programs.
---@param fn fun(command: string, options: table): { rc?: integer, stdout?: string, stderr?: string }
function t.on_process(fn) end

---@class lunabot.test.Answer
---@field rc? integer exit status, 0 where nothing is said
---@field stdout? string
---@field stderr? string
---@field header? string
---@field logs? table<string, string> texts of watched log files
---@field updates? table<string, any> what a command of one's own reports
---@field seconds? number|string how long it takes on the virtual clock
---@field hangs? boolean it never ends by itself
---@field lost? boolean the worker is lost meanwhile
---@field breaks? string the command breaks in itself

---@class lunabot.test.Command
---@field name string shell, uploadFile, mkdir …
---@field line string by this text it is answered
---@field words string[]
---@field workdir string
---@field path string
---@field env table<string, string>
---@field worker string
---@field builder string
---@field build? integer
---@field step string

---By command line, in which `*`, `?` and `[…]` stand for what they stand for in names of files. A number is an exit status, a
---text is output, a list is used up to its last item.
---@alias lunabot.test.Answers table<string, lunabot.test.Answer|integer|string|lunabot.test.Answer[]|fun(command: lunabot.test.Command): (lunabot.test.Answer|integer|string|nil)>

---@class lunabot.test.Step
---@field name string
---@field number integer
---@field results? integer
---@field result? string success, failure …
---@field state_string string
---@field complete boolean
---@field hidden boolean
---@field urls { name: string, url: string }[]
---@field logs string[]
---@field commands string[]

---@class lunabot.test.Build
---@field buildid integer
---@field builder string
---@field number integer
---@field worker? string
---@field request integer
---@field complete boolean
---@field results? integer
---@field result? string success, failure …
---@field state_string string
---@field started_at integer
---@field complete_at? integer
---@field properties table<string, any>
---@field steps lunabot.test.Step[]
---@field commands string[]

---@class lunabot.test.Request
---@field request integer
---@field builder string
---@field buildsetid integer
---@field priority integer
---@field submitted_at integer
---@field complete boolean
---@field claimed boolean
---@field summary? string of those that wait: what matters most
---@field why? string[] of those that wait: everything that keeps it

---What a reporter has delivered: a report as its function was given it.
---@class lunabot.test.Report
---@field reporter string
---@field body any
---@field type "plain"|"html"|"json"
---@field subject? string
---@field results? integer
---@field result? string success, failure …
---@field builds table[]
---@field users string[]
---@field worker? string

---@class lunabot.test.Worker
---@field name string
local worker = {}

---@param answers lunabot.test.Answers
function worker:answers(answers) end

---Files that the worker has; false: it has not.
---@param files table<string, string|false>
function worker:files(files) end

---The content of a file that a test has given or a build has sent.
---@param path string
---@return string?
function worker:file(path) end

function worker:connect() end
function worker:disconnect() end

---@return boolean
function worker:connected() end

---Everything that it was given to do.
---@return { line: string, builder: string, step: string, rc?: integer }[]
function worker:commands() end

---A master with everything real but the outside. After each method nothing more happens unless the clock goes on.
---@class lunabot.test.Master
local m = {}

---Lets the clock go on. What is due happens at its time, in order.
---@param duration number|string seconds, or "1h 30m"
function m:advance(duration) end

---Lets the clock go on until no build runs, for a day at most or for as long as is said.
---@param at_most? number|string
function m:run_until_idle(at_most) end

---Seconds since 1970.
---@return number
function m:now() end

---A change as `master.data.updates.addChange` takes it; gives its id.
---@param change { author?: string, branch?: string, revision?: string, files?: string[], comments?: string, repository?: string, project?: string, codebase?: string, category?: string, properties?: table<string, any>, when_timestamp?: number }
---@return integer
function m:change(change) end

---Fills in the form of a ForceScheduler.
---@param form? { scheduler?: string, builder?: string, builders?: string[], owner?: string, reason?: string, branch?: string, revision?: string, repository?: string, project?: string, priority?: integer, properties?: table<string, any>, params?: table<string, any> }
function m:force(form) end

---Asks for a build, without a scheduler; gives the request.
---@param request { builder: string, branch?: string, revision?: string, repository?: string, project?: string, codebase?: string, properties?: table<string, any>, priority?: integer, reason?: string }
---@return integer
function m:request(request) end

---All builds, or those of a builder, in the order in which they began.
---@param builder? string
---@return lunabot.test.Build[]
function m:builds(builder) end

---The newest build, of all or of a builder.
---@param builder? string
---@return lunabot.test.Build
function m:build(builder) end

---@return lunabot.test.Request[]
function m:requests() end

---Requests that wait, and why.
---@return lunabot.test.Request[]
function m:pending() end

---@return table[]
function m:changes() end

---What all reporters have delivered, or one.
---@param reporter? string
---@return lunabot.test.Report[]
function m:reports(reporter) end

---@param name string
---@return lunabot.test.Worker
function m:worker(name) end

---Answers of all workers that have none of their own.
---@param answers lunabot.test.Answers
function m:answers(answers) end

---The value of a secret; false: nobody knows it.
---@param name string
---@param value string|false
function m:secret(name, value) end

---A step of a build, by its name.
---@param build lunabot.test.Build
---@param name string
---@return lunabot.test.Step
function m:step(build, name) end

---The text of a log, stdio where no name is given.
---@param build lunabot.test.Build
---@param step string
---@param log? string
---@return string
function m:log(build, step, log) end

---As `master.data.get`.
---@param path string|any[]
---@param options? table
---@return any
function m:get(path, options) end

---As `master.data.control`.
---@param action string
---@param params table
---@param path string|any[]
---@return any
function m:control(action, params, path) end

return t
