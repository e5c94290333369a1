-- Functions that a configuration may have. In place of FAULT the test puts what goes wrong. What is behind an arrow is read by the test: the
-- callback, what it concerns, what comes of the fault, and for which faults that is not tried, with bars between.
--   NAME ends N      a change of category NAME begets a build of builder NAME that ends with this result
--   NAME waits       the request stays, and no build begins
--   NAME begets N    so many requests wait
--   POST PATH N, GET PATH N   the status of an answer
--   PUSH PATH N      the same of what GitHub sends
--   FORCE NAME N     of a force scheduler
--   AS NAME N        of what a person of this name asks, who logs in
--   acts             it is called by itself; the error is told
--   leaves           it is called when a reload takes its object away, again and again
-- A fault that is followed by - is not tried there: nobody looks at the answer; the function has no deadline or a long one of its own; it is called
-- once, before any build has ended; what was being decided when the master was killed is not decided again (the requests stay two, the older build goes
-- on); or it makes way for another with its service, its task or its instance (cancellers of builds are held up in cancellers.rs, what a reload takes
-- away in held.rs; after a kill it is not there any more).
local lunabot = require "lunabot"
local changes, reporters, schedulers, secrets, steps, util, webhooks, worker =
  lunabot.changes, lunabot.reporters, lunabot.schedulers, lunabot.secrets, lunabot.steps, lunabot.util, lunabot.webhooks, lunabot.worker
local c = { lua = LIMITS, builders = {}, schedulers = {}, services = {}, change_source = {} }
c.workers = { worker.LocalWorker{"local"}, worker.Worker{"away", "password"} }
c.protocols = { pb = { port = "127.0.0.1:0" } }

-- A step of a build that has ended.
kept = nil

-- Whether functions are kept.
local gated = false
local function opened()
  while gated and not pcall(util.read_file, "open") do util.sleep(0.05) end
end
-- Keeps a function until the file open is there.
local function gate(line)
  gated = true
  util.log.info("inside " .. line .. ".")
  opened()
  util.log.info("through " .. line .. ".")
end

local function add(name, options)
  local factory = util.BuildFactory{steps.ShellCommand{command = "true", name = "nothing"}}
  local builder = util.merge({name = name, workernames = {"local"}, factory = factory}, options or {})
  table.insert(c.builders, util.BuilderConfig(builder))
  table.insert(c.schedulers, schedulers.AnyBranchScheduler{
    name = "of " .. name, builderNames = {name}, change_filter = util.ChangeFilter{category = name},
  })
end

local function with(name, step) add(name, {factory = util.BuildFactory{step}}) end

local function by(name, options)
  add(name)
  options.name, options.builderNames = "by " .. name, options.builderNames or {name}
  options.change_filter = options.change_filter or util.ChangeFilter{category = "by " .. name}
  table.insert(c.schedulers, schedulers.AnyBranchScheduler(options))
end

add("fine")
table.insert(c.schedulers, schedulers.Triggerable{name = "triggered", builderNames = {"fine"}})
with("keeper", steps.BuildStep:extend("Keeper", {run = function(self) kept = self return util.SUCCESS end}){})

-- Who builds what, when and where.
add("can", {canStartBuild = function(builder, wfb, request) FAULT return true end}) --> canStartBuild | builder can | can waits
add("next", {nextBuild = function(builder, requests) FAULT return requests[1] end}) --> nextBuild | builder next | next waits
add("where", {nextWorker = function(builder, wfbs, request) FAULT return wfbs[1] end}) --> nextWorker | builder where | where waits
add("pairs", {workernames = {"away"}, collapseRequests = function(master, builder, req1, req2) FAULT return true end}) --> collapseRequests | builder pairs | pairs begets 2 | kill -
add("keys", {workernames = {"away"}, collapseRequests = util.collapse_by(function(req) FAULT return "same" end)}) --> collapseRequests | builder keys | keys begets 2 | nonsense -
add("selected")
c.select_next_worker = function(builder, wfbs, request) if builder.name == "selected" then FAULT end return wfbs[1] end --> select_next_worker | builder selected | selected waits
c.prioritizeBuilders = function(master, builders) FAULT return builders end --> prioritizeBuilders | the master | fine ends 0
add("locked", {locks = util.renderer(function(props) FAULT return {} end)}) --> renderer | builder locked | locked ends 4
add("doable", {do_build_if = function(build) FAULT return true end}) --> do_build_if | builder doable | doable ends 4

-- Schedulers.
by("important", {fileIsImportant = function(change) FAULT return true end}) --> fileIsImportant | scheduler by important | important ends 0
by("filter", {change_filter = util.ChangeFilter{category = "by filter", filter_fn = function(change) FAULT return true end}}) --> filter_fn | scheduler by filter | filter begets 0
by("branch", {change_filter = util.ChangeFilter{category = "by branch", branch_fn = function(branch) FAULT return true end}}) --> branch_fn | scheduler by branch | branch begets 0
by("project", {change_filter = util.ChangeFilter{category = "by project", project_fn = function(project) FAULT return true end}}) --> project_fn | scheduler by project | project begets 0
by("repository", {change_filter = util.ChangeFilter{category = "by repository", repository_fn = function(repository) FAULT return true end}}) --> repository_fn | scheduler by repository | repository begets 0
by("codebase", {change_filter = util.ChangeFilter{category = "by codebase", codebase_fn = function(codebase) FAULT return true end}}) --> codebase_fn | scheduler by codebase | codebase begets 0
by("category", {change_filter = util.ChangeFilter{category_fn = function(category) if category == "by category" then FAULT return true end return false end}}) --> category_fn | scheduler by category | category begets 0
by("event", {change_filter = util.GerritChangeFilter{eventtype_fn = function(event) if event == "ours" then FAULT end return false end}}) --> eventtype_fn | scheduler by event | acts
by("priority", {priority = function(builderNames, changesByCodebase) FAULT return 1 end}) --> priority | scheduler by priority | priority ends 0
by("names", {builderNames = util.renderer(function(props) FAULT return {"names"} end)}) --> renderer | scheduler by names | names begets 0
local Own = schedulers.BaseBasicScheduler:extend("Own", {
  gotChange = function(self, change, important) FAULT self:addBuildsetForChanges{changeids = {change.changeid}} end, --> gotChange | scheduler by gotChange | gotChange begets 0 | nonsense -
})
add("gotChange")
table.insert(c.schedulers, Own{name = "by gotChange", builderNames = {"gotChange"}, change_filter = util.ChangeFilter{category = "by gotChange"}})
table.insert(c.schedulers, schedulers.BaseBasicScheduler:extend("Active", {
  activate = function(self) FAULT end, --> activate | scheduler active | acts | nonsense -
}){name = "active", builderNames = {"fine"}, change_filter = util.ChangeFilter{category = "nobody's"}})
table.insert(c.schedulers, schedulers.BaseBasicScheduler:extend("Prepared", {
  before_start = function(self) FAULT end, --> before_start | scheduler prepared | acts | nonsense -
}){name = "prepared", builderNames = {"fine"}, change_filter = util.ChangeFilter{category = "nobody's"}})

-- Builds.
local folder = util.BuildFactory{steps.ShellCommand{command = "true"}}
folder.workdir = function(source_stamps) FAULT return "build" end --> workdir | builder folder | folder ends 4
add("folder", {factory = folder})
local function of_class(name, class)
  add(name, {factory = util.BuildFactory{steps.ShellCommand{command = "true"}}:with{buildClass = util.Build:extend(name, class)}})
end
of_class("preparedBuild", {
  before_start = function(self) FAULT end, --> before_start | build 1 of builder preparedBuild | preparedBuild ends 4 | nonsense -
})
of_class("setupBuild", {
  setupBuild = function(self) FAULT end, --> setupBuild | build 1 of builder setupBuild | setupBuild ends 4 | nonsense -
})
of_class("getNextStep", {
  getNextStep = function(self, last) FAULT return util.Build.getNextStep(self, last) end, --> getNextStep | build 1 of builder getNextStep | getNextStep ends 4
})

-- Options of steps.
with("if", steps.ShellCommand{name = "s", command = "true", doStepIf = function(step) FAULT return true end}) --> doStepIf | step s of builder if | if ends 4
with("hide", steps.ShellCommand{name = "s", command = "true", hideStepIf = function(results, step) FAULT return true end}) --> hideStepIf | step s of builder hide | hide ends 0
with("renderer", steps.ShellCommand{name = "s", command = util.renderer(function(props) FAULT return "true" end)}) --> renderer | step s of builder renderer | renderer ends 4
with("transform", steps.ShellCommand{name = "s", command = util.Transform{function(value) FAULT return "true" end, util.Property "branch"}}) --> renderer | step s of builder transform | transform ends 4
with("properties", steps.ShellCommand{name = "s", command = util.WithProperties{"%(x)s", x = function(build) FAULT return "true" end}}) --> renderer | step s of builder properties | properties ends 4 | nonsense -
with("steplocks", steps.ShellCommand{name = "s", command = "true", locks = util.renderer(function(props) FAULT return {} end)}) --> renderer | step s of builder steplocks | steplocks ends 4
with("extract", steps.SetPropertyFromCommand{name = "s", command = "true", extract_fn = function(rc, stdout, stderr) FAULT return {} end}) --> extract_fn | step s of builder extract | extract ends 4
with("warning", steps.WarningCountingShellCommand{name = "s", command = "echo warning: x", suppressionList = {{"f", "none"}}, warningExtractor = function(self, line, match) FAULT return "f", 1, line end}) --> warningExtractor | step s of builder warning | warning ends 4
with("encoding", steps.ShellCommand{name = "s", command = "echo x", logEncoding = function(data) FAULT return data end}) --> logEncoding | step s of builder encoding | encoding ends 4
with("triggers", steps.Trigger{name = "s", schedulerNames = {"triggered"}, getSchedulersAndProperties = function(step) FAULT return {} end}) --> getSchedulersAndProperties | step s of builder triggers | triggers ends 4

-- Steps of one's own.
local function own(name, methods, options)
  methods.name = "s"
  with(name, steps.ShellCommand:extend(name, methods)(util.merge({command = "echo line; echo other >&2"}, options or {})))
end
own("before_start", {
  before_start = function(self) FAULT end, --> before_start | step s of builder before_start | before_start ends 4 | nonsense -
})
own("run", {
  run = function(self) FAULT return util.SUCCESS end, --> run | step s of builder run | run ends 4 | wait -
})
own("evaluate", {
  evaluateCommand = function(self, cmd) FAULT return util.SUCCESS end, --> evaluateCommand | step s of builder evaluate | evaluate ends 4
})
own("result", {
  getResultSummary = function(self) FAULT return {step = "done"} end, --> getResultSummary | step s of builder result | result ends 4
})
own("current", {
  getCurrentSummary = function(self) FAULT return {step = "at it"} end, --> getCurrentSummary | step s of builder current | current ends 0
})
own("fold", {run = function(self)
  self:setStatistic("n", 1)
  self.build:getSummaryStatistic("n", function(a, b) FAULT return a + b end, 0) --> run | step s of builder fold | fold ends 4 | nonsense -, wait -
  return util.SUCCESS
end})
own("interrupt", {
  run = function(self)
    lunabot.master.data.control("stop", {}, {"builds", self.build.buildid})
    opened()
    util.sleep(5)
    return util.SUCCESS
  end,
  interrupt = function(self, reason) FAULT end, --> interrupt | step s of builder interrupt | interrupt ends 6 | nonsense -
})

-- Observers.
local function observed(name, observer)
  own(name, {observers = {stdio = observer}})
end
observed("preparedObserver", util.LogLineObserver:extend("PreparedObserver", {
  before_start = function(self) FAULT end, --> before_start | step s of builder preparedObserver | preparedObserver ends 4 | nonsense -
}))
observed("outLine", util.LogLineObserver:extend("OutLine", {
  outLineReceived = function(self, line) FAULT end, --> outLineReceived | step s of builder outLine | outLine ends 4 | nonsense -
}))
observed("errLine", util.LogLineObserver:extend("ErrLine", {
  errLineReceived = function(self, line) FAULT end, --> errLineReceived | step s of builder errLine | errLine ends 4 | nonsense -
}))
observed("out", util.LogObserver:extend("Out", {
  outReceived = function(self, data) FAULT end, --> outReceived | step s of builder out | out ends 4 | nonsense -
}))
observed("err", util.LogObserver:extend("Err", {
  errReceived = function(self, data) FAULT end, --> errReceived | step s of builder err | err ends 4 | nonsense -
}))
observed("header", util.LogObserver:extend("Header", {
  headerReceived = function(self, data) FAULT end, --> headerReceived | step s of builder header | header ends 4 | nonsense -
}))
observed("headerLine", util.LogLineObserver:extend("HeaderLine", {
  headerLineReceived = function(self, line) FAULT end, --> headerLineReceived | step s of builder headerLine | headerLine ends 4 | nonsense -
}))
observed("finish", util.LogLineObserver:extend("Finish", {
  finishReceived = function(self) FAULT end, --> finishReceived | step s of builder finish | finish ends 4 | nonsense -
}))
with("consumer", steps.ShellCommand:extend("Consumer", {observers = {
  stdio = util.LineConsumerLogObserver{function(lines) for stream, line in lines do FAULT end end}, --> consumerFunction | step s of builder consumer | consumer ends 4 | nonsense -, wait -
}}){name = "s", command = "echo line"})

-- Latent workers.
local function latent(name, methods, options)
  methods.start_instance = methods.start_instance or function(self, build) return true end
  methods.stop_instance = methods.stop_instance or function(self, fast) end
  table.insert(c.workers, worker.AbstractLatentWorker:extend(name, methods)(util.merge({name, missing_timeout = 12}, options or {})))
  add(name, {workernames = {name}})
end
latent("start_instance", {
  start_instance = function(self, build) FAULT return true end, --> start_instance | worker start_instance | start_instance ends 5 | wait -
})
latent("preparedWorker", {
  before_start = function(self) FAULT end, --> before_start | worker preparedWorker | preparedWorker ends 5 | nonsense -
})
latent("stop_instance", {
  stop_instance = function(self, fast) FAULT end, --> stop_instance | worker stop_instance | stop_instance ends 5 | nonsense -, wait -
}, {missing_timeout = 1})
latent("check_instance", {
  check_instance = function(self) FAULT return true end, --> check_instance | worker check_instance | check_instance ends 5
}, {check_instance_interval = 0.2})
-- An instance is started for another build.
latent("compatible", {
  isCompatibleWithBuild = function(self, properties) FAULT return true end, --> isCompatibleWithBuild | worker compatible | suiting waits | reload -
}, {builds_may_be_incompatible = true, missing_timeout = 3600})
add("suiting", {workernames = {"compatible"}})

-- Change sources.
local function source(name, methods) table.insert(c.change_source, changes.ChangeSource:extend(name, methods){name = name}) end
source("activates", {
  activate = function(self) FAULT end, --> activate | change source activates | acts | nonsense -
})
source("prepares", {
  before_start = function(self) FAULT end, --> before_start | change source prepares | acts | nonsense -
  activate = function(self) end,
})
source("describes", {
  activate = function(self) end,
  describe = function(self) FAULT return "words" end, --> describe | change source describes | acts | late -
})
source("serves", {
  activate = function(self) self:serve("bell", function(request) FAULT return "yes" end) end, --> serve | change source serves | POST /change_hook/custom/bell 500
})
source("spawns", {
  activate = function(self) self:spawn(function() FAULT end) end, --> spawn | change source spawns | acts | nonsense -, wait -
})
table.insert(c.change_source, changes.PollingChangeSource:extend("Polls", {
  poll = function(self) FAULT end, --> poll | change source polls | acts | nonsense -, wait -
}){name = "polls", pollInterval = 1, pollAtLaunch = true})
-- Adds one change, in as many polls as it takes.
local function adds(name, options)
  local class = changes.PollingChangeSource:extend(name, {poll = function(self)
    if self:getState("added") then return end
    self.master.data.updates.addChange{author = "ann", comments = "c", codebase = "own"}
    self:setState("added", true)
  end})
  table.insert(c.change_source, class(util.merge({name = name, pollInterval = 1, pollAtLaunch = true}, options)))
end
adds("ownchange", {
  change_fn = function(change) FAULT return change end, --> change_fn | change source ownchange | acts
})
table.insert(c.change_source, changes.PollingChangeSource:extend("Event", {poll = function(self)
  self.master.data.updates.addChange{author = "ann", comments = "c", codebase = "own", properties = {["event.type"] = "ours"}}
end}){name = "event", pollInterval = 3, pollAtLaunch = true})
adds("owncategory", {
  category = function(change) FAULT return "x" end, --> category | change source owncategory | acts
})
table.insert(c.change_source, changes.GitPoller{"REPO", name = "git", branches = function(branch) FAULT return true end, pollInterval = 1, pollAtLaunch = true}) --> branches | change source git | acts
table.insert(c.change_source, changes.GitPoller{"REPO", name = "gitchange", workdir = "gitchange", branches = true, pollInterval = 1, pollAtLaunch = true,
  change_fn = function(change) FAULT return change end, --> change_fn | change source gitchange | acts
})
table.insert(c.change_source, changes.GitPoller{"REPO", name = "gitcategory", workdir = "gitcategory", branches = true, pollInterval = 1, pollAtLaunch = true,
  category = function(change) FAULT return "x" end, --> category | change source gitcategory | acts
})
table.insert(c.change_source, changes.SVNPoller{"SUBVERSION", name = "svn", pollInterval = 1, pollAtLaunch = true,
  split_file = function(path) FAULT return {path = path} end, --> split_file | change source svn | acts
})
local function depot(name, functions)
  table.insert(c.change_source, changes.P4Source(util.merge({
    name = name, p4bin = "P4BIN", p4port = "host:1666", p4base = "//depot/", server_tz = "UTC", pollInterval = 3, pollAtLaunch = true,
  }, functions)))
end
depot("depot", {resolvewho = function(user) FAULT return "ann" end}) --> resolvewho | change source depot | acts
depot("linked", {revlink = function(branch, revision) FAULT return nil end}) --> revlink | change source linked | acts
table.insert(c.change_source, changes.GitHubPullrequestPoller{"o", "r", name = "pulls", baseURL = "FORGE", pollInterval = 3, pollAtLaunch = true,
  pullrequest_filter = function(pull) FAULT return true end, --> pullrequest_filter | change source pulls | acts
})
c.codebaseGenerator = function(change) FAULT return "" end --> codebaseGenerator | change hook base | fine ends 0
c.revlink = function(revision, repository) FAULT return nil end --> revlink | change hook base | fine ends 0

-- Services, what they hear, and their timers.
local function service(name, methods) table.insert(c.services, util.BuildbotService:extend(name, methods){name = name}) end
service("starts", {
  startService = function(self) FAULT end, --> startService | service starts | acts | nonsense -
})
service("prepared", {
  before_start = function(self) FAULT end, --> before_start | service prepared | acts | nonsense -
  startService = function(self) end,
})
service("hears", {startService = function(self)
  self.master.mq.subscribe("builds/*/finished", function(key, build) FAULT end) --> mq.subscribe | builds/*/finished | fine ends 0 | nonsense -
end})
service("times", {startService = function(self)
  self.master.mq.subscribe("builds/*/finished", function()
    self:callLater(0, function() FAULT end) --> callLater | service times | fine ends 0 | nonsense -
  end)
end})
service("watches", {startService = function(self)
  self.master.mq.subscribe("builds/*/finished", function(key, build) util.append_file("watched", "x") end)
  util.append_file("watched", "")
  util.watch("watched", function(path) FAULT end) --> watch | service watches | fine ends 0 | nonsense -
end})
-- The task has its turn each time that this waits; it ends with this.
service("tasks", {startService = function(self)
  util.spawn(function() FAULT end) --> util.spawn | a task that nobody waits for | acts | nonsense -, wait -, late -, reload -, kill -
  for _ = 1, 300 do util.sleep(0.001) end
end})
with("broken", steps.ShellCommand{command = "false"})
add("doomed", {workernames = {"away"}})
c.schedulers[#c.schedulers] = c.schedulers[#c.schedulers]:with{builderNames = {"broken", "doomed"}}
table.insert(c.services, util.FailingBuildsetCanceller{name = "sets", filters = {{"broken", util.null, util.SourceStampFilter{
  filter_fn = function(stamp) FAULT return true end, --> filter_fn | service sets | doomed begets 1
}}}})
table.insert(c.services, util.OldBuildCanceller{name = "old", filters = {{"fine", util.SourceStampFilter{}}}, branch_key = function(ss) FAULT return "x" end}) --> branch_key | service old | fine ends 0 | kill -, reload -

-- Secrets.
c.secretsProviders = { secrets.SecretProviderBase:extend("Store", {
  get = function(self, name) FAULT return "value" end, --> get | secret store Store | secret ends 4
}){} }
with("secret", steps.ShellCommand{name = "s", command = "true", env = {TOKEN = util.Secret "token"}})

-- Reporters.
local function report(name, options)
  local generator = util.merge({builders = {"fine"}}, options.generator or {})
  table.insert(c.services, reporters.Reporter{name = name, send = options.send or function(reports) end,
    generators = {(options.class or reporters.BuildStatusGenerator)(generator)}})
end
report("sends", {
  send = function(reports) FAULT end, --> send | reporter sends | fine ends 0 | nonsense -
})
report("formats", {generator = {message_formatter = reporters.MessageFormatterFunction{
  function(context) FAULT return "words" end, "plain", --> fn | reporter formats | fine ends 0
}}})
report("raw", {generator = {message_formatter = reporters.MessageFormatterFunctionRaw{
  function(master, context) FAULT return {body = "words", type = "plain"} end, --> fn | reporter raw | fine ends 0
}}})
report("adds", {generator = {message_formatter = reporters.MessageFormatter:extend("Adds", {
  buildAdditionalContext = function(self, master, context) FAULT end, --> buildAdditionalContext | reporter adds | fine ends 0
}){template = "x"}}})
report("informs", {generator = {message_formatter = reporters.MessageFormatter{template = "x",
  extra_info_cb = function(master, build) FAULT return {of = {ours = "words"}} end, --> extra_info_cb | reporter informs | fine ends 0
}}})
report("phrases", {generator = {message_formatter = reporters.MessageFormatter:extend("Prepared", {
  before_start = function(self) FAULT end, --> before_start | reporter phrases | fine ends 0 | nonsense -
  buildAdditionalContext = function(self, master, context) end,
}){template = "x"}}})
report("begins", {class = reporters.BuildStatusGenerator:extend("Begins", {
  before_start = function(self) FAULT end, --> before_start | reporter begins | fine ends 0 | nonsense -
  is_message_needed_by_results = function(self, build) return true end,
})})
report("whole", {class = reporters.BuildSetStatusGenerator:extend("Sets", {
  buildset_message = function(self, formatter, master, reporter, builds, results) FAULT return nil end, --> buildset_message | reporter whole | fine ends 0
})})
report("generates", {class = reporters.BuildStatusGenerator:extend("Generates", {
  generate = function(self, master, reporter, key, message) FAULT return nil end, --> generate | reporter generates | fine ends 0
})})
report("needs", {class = reporters.BuildStatusGenerator:extend("Needs", {
  is_message_needed_by_results = function(self, build) FAULT return true end, --> is_message_needed_by_results | reporter needs | fine ends 0
})})
report("props", {class = reporters.BuildStatusGenerator:extend("Props", {
  is_message_needed_by_props = function(self, build) FAULT return true end, --> is_message_needed_by_props | reporter props | fine ends 0
})})
report("words", {class = reporters.BuildStatusGenerator:extend("Words", {
  build_message = function(self, formatter, master, reporter, build) FAULT return nil end, --> build_message | reporter words | fine ends 0
})})
table.insert(c.services, reporters.ReporterBase:extend("Messages", {
  sendMessage = function(self, reports) FAULT end, --> sendMessage | reporter messages | fine ends 0 | nonsense -
}){name = "messages", generators = {reporters.BuildStatusGenerator{builders = {"fine"}}}})

table.insert(c.services, reporters.ReporterBase:extend("Opens", {
  before_start = function(self) FAULT end, --> before_start | reporter opens | fine ends 0 | nonsense -
  sendMessage = function(self, reports) end,
}){name = "opens", generators = {reporters.BuildStatusGenerator{builders = {"fine"}}}})

-- What a reload takes away.
if STAYS then
  source("leaves", {
    activate = function(self) end,
    deactivate = function(self) FAULT end, --> deactivate | change source leaves | leaves | nonsense -, kill -
  })
  table.insert(c.schedulers, schedulers.BaseBasicScheduler:extend("Leaves", {
    deactivate = function(self) FAULT end, --> deactivate | scheduler leaves | leaves | nonsense -, kill -
  }){name = "leaves", builderNames = {"fine"}, change_filter = util.ChangeFilter{category = "nobody's"}})
  service("leaves", {
    startService = function(self) end,
    stopService = function(self) FAULT end, --> stopService | service leaves | leaves | nonsense -, kill -
  })
end

-- The web.
c.www = { port = "127.0.0.1:0", change_hook_dialects = {
  base = true,
  github = { class = webhooks.GitHubEventHandler:extend("Forge", {
    handle_release = function(self, payload, event) FAULT return {} end, --> handle_release | change hook github | POST /change_hook/github 500
  }), codebase = function(payload) FAULT return "own" end }, --> codebase | change hook github | PUSH /change_hook/github 500
  prepared = { class = webhooks.BaseHookHandler:extend("Prepared", {
    before_start = function(self) FAULT end, --> before_start | change hook prepared | POST /change_hook/prepared 500 | nonsense -
    getChanges = function(self, request) return {} end,
  }) },
  own = { class = webhooks.BaseHookHandler:extend("Dialect", {
    getChanges = function(self, request) FAULT return {} end, --> getChanges | change hook own | POST /change_hook/own 500
  }) },
}, dashboards = {
  util.Dashboard{name = "board", app = function(request) FAULT return "<p>well</p>" end}, --> app | dashboard board | GET /dashboards/board 500
},
-- Each is asked about one person only; the others may do everything.
auth = util.CustomAuth{check_credentials = function(name, password) if name == "guest" then FAULT end return true end}, --> check_credentials | util.CustomAuth | AS guest 401
authz = util.Authz{
  policy = function(user, action, endpoint) if user.username == "citizen" then FAULT end return nil end, --> policy | util.Authz | AS citizen 403
  allowRules = {
    util.EndpointMatcher{role = "staff", match = function(endpoint, action, user) if user.username == "matched" then FAULT end return false end}, --> match | util.EndpointMatcher at master.lua:LINE | AS matched 403
    util.EndpointMatcher{role = "staff", match = function(endpoint, action, user) return user.username == "member" end},
    util.AnyControlEndpointMatcher{role = "anonymous"},
  },
  roleMatchers = { util.Roles{function(user) if user.username == "member" then FAULT return "staff" end return nil end} }, --> fn | util.Roles | AS member 403
} }
table.insert(c.schedulers, schedulers.ForceScheduler{name = "plain", builderNames = {"fine"}})
table.insert(c.schedulers, schedulers.ForceScheduler{name = "force", builderNames = {"fine"}, properties = {
  util.ChoiceStringParameter{name = "choice", strict = false, default = "",
    choices = function(master, scheduler) FAULT return {"a"} end, --> choices | scheduler force | GET /api/v2/forceschedulers/force 200
  },
}})
table.insert(c.schedulers, schedulers.ForceScheduler{name = "validated", builderNames = {"fine"}, properties = {
  util.StringParameter{name = "text", default = "x",
    validate = function(value, properties) FAULT return nil end, --> validate | field text of scheduler validated | FORCE validated 400
  },
}})
table.insert(c.schedulers, schedulers.ForceScheduler{name = "parsed", builderNames = {"fine"}, properties = {
  util.BaseParameter:extend("Parsed", {
    parse_from_arg = function(self, value) FAULT return value end, --> parse_from_arg | field text of scheduler parsed | FORCE parsed 400 | nonsense -
  }){name = "text", default = "x"},
}})
table.insert(c.schedulers, schedulers.ForceScheduler{name = "begun", builderNames = {"fine"}, properties = {
  util.BaseParameter:extend("Begun", {
    before_start = function(self) FAULT end, --> before_start | field text of scheduler begun | FORCE begun 400 | nonsense -
    parse_from_arg = function(self, value) return value end,
  }){name = "text", default = "x"},
}})
return c
