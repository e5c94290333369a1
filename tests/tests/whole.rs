//! Lunabot as a user meets it: real processes, a real repository, HTTP.

#[path = "whole/access.rs"]
mod access;
#[path = "whole/api.rs"]
mod api;
#[path = "whole/arrows.rs"]
mod arrows;
#[path = "whole/browser.rs"]
mod browser;
#[path = "whole/builds.rs"]
mod builds;
#[path = "whole/cancellers.rs"]
mod cancellers;
#[path = "whole/cli.rs"]
mod cli;
#[path = "whole/client.rs"]
mod client;
#[path = "whole/crashes.rs"]
mod crashes;
#[path = "whole/dashboards.rs"]
mod dashboards;
#[path = "whole/documents.rs"]
mod documents;
#[path = "whole/editor.rs"]
mod editor;
#[path = "whole/explain.rs"]
mod explain;
#[path = "whole/fault_table/mod.rs"]
mod fault_table;
#[path = "whole/faults.rs"]
mod faults;
#[path = "whole/files.rs"]
mod files;
#[path = "whole/forges.rs"]
mod forges;
#[path = "whole/forms.rs"]
mod forms;
#[path = "whole/hearing.rs"]
mod hearing;
#[path = "whole/hello.rs"]
mod hello;
#[path = "whole/hostile.rs"]
mod hostile;
#[path = "whole/janitor.rs"]
mod janitor;
#[path = "whole/licences.rs"]
mod licences;
#[path = "whole/locks.rs"]
mod locks;
#[path = "whole/logs.rs"]
mod logs;
#[path = "whole/lua_values.rs"]
mod lua_values;
#[path = "whole/mistakes.rs"]
mod mistakes;
#[path = "whole/network.rs"]
mod network;
#[path = "whole/odd_input.rs"]
mod odd_input;
#[path = "whole/old_workers.rs"]
mod old_workers;
#[path = "whole/own_builds.rs"]
mod own_builds;
#[path = "whole/own_configurators.rs"]
mod own_configurators;
#[path = "whole/own_hooks.rs"]
mod own_hooks;
#[path = "whole/own_latent.rs"]
mod own_latent;
#[path = "whole/own_observers.rs"]
mod own_observers;
#[path = "whole/own_parts.rs"]
mod own_parts;
#[path = "whole/own_reporters.rs"]
mod own_reporters;
#[path = "whole/own_rules.rs"]
mod own_rules;
#[path = "whole/own_schedulers.rs"]
mod own_schedulers;
#[path = "whole/own_secrets.rs"]
mod own_secrets;
#[path = "whole/own_services.rs"]
mod own_services;
#[path = "whole/own_sources.rs"]
mod own_sources;
#[path = "whole/own_steps.rs"]
mod own_steps;
#[path = "whole/own_tests.rs"]
mod own_tests;
#[path = "whole/own_worker.rs"]
mod own_worker;
#[path = "whole/pipeline.rs"]
mod pipeline;
#[path = "whole/plug_ins.rs"]
mod plug_ins;
#[path = "whole/progress.rs"]
mod progress;
#[path = "whole/properties.rs"]
mod properties;
#[path = "whole/queue.rs"]
mod queue;
#[path = "whole/reach.rs"]
mod reach;
#[path = "whole/reload.rs"]
mod reload;
#[path = "whole/reported_starts.rs"]
mod reported_starts;
#[path = "whole/service.rs"]
mod service;
#[path = "whole/states.rs"]
mod states;
#[path = "whole/stops.rs"]
mod stops;
#[path = "whole/subversion.rs"]
mod subversion;
#[path = "whole/tokens.rs"]
mod tokens;
#[path = "whole/tries.rs"]
mod tries;
#[path = "whole/trigger.rs"]
mod trigger;
#[path = "whole/uploads.rs"]
mod uploads;
#[path = "whole/web_config.rs"]
mod web_config;
#[path = "whole/workers.rs"]
mod workers;
