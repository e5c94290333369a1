//! Configurations of the scenarios.

/// What a builder's steps are.
#[derive(Clone, Copy)]
pub enum Steps {
    /// Three commands that end at once.
    Three,
    /// One command whose output is so many MB.
    Flood(u32),
    /// One command that reports so many lines, one at a time.
    Drip(u32),
}

/// `builders` builders on `workers` workers (builder i on worker i modulo `workers`), forced by `force`.
pub fn lua(builders: usize, workers: usize, steps: Steps) -> String {
    let steps = match steps {
        Steps::Three => {
            r#"for i = 1, 3 do f:addStep(steps.ShellCommand{name = "s" .. i, command = {"instant"}}) end"#
                .to_string()
        }
        Steps::Flood(mb) => {
            format!(r#"f:addStep(steps.ShellCommand{{name = "flood", command = {{"flood", "{mb}"}}}})"#)
        }
        Steps::Drip(lines) => {
            format!(r#"f:addStep(steps.ShellCommand{{name = "drip", command = {{"drip", "{lines}"}}}})"#)
        }
    };
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{}}, builders = {{}}, collapseRequests = false, www = {{ port = "127.0.0.1:0" }} }}
local f = util.BuildFactory{{}}
{steps}
local names = {{}}
for i = 1, {workers} do c.workers[i] = worker.LocalWorker{{"w" .. i}} end
for i = 1, {builders} do
  names[i] = "b" .. i
  c.builders[i] = util.BuilderConfig{{name = names[i], workernames = {{"w" .. (i - 1) % {workers} + 1}}, factory = f}}
end
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = names}} }}
return c
"#
    )
}
