//! Renderables and filters as a configuration writes them, carried out with its own functions.

use crate::support::load;
use lunabot_lua::Loaded;
use lunabot_model::change_filter::ChangeFilter;
use lunabot_model::render::{RenderContext, RenderError, render};
use lunabot_model::resources::{Change, SourceStamp};
use lunabot_model::script::{CallSite, Inert};
use lunabot_model::{AnyObject, Arg, BoxFuture, Callback, Json, Properties};
use serde_json::json;
use std::sync::Arc;

/// A build with a few properties, whose functions are those of a loaded configuration.
struct Build<'a>(&'a Loaded, Properties);

impl RenderContext for Build<'_> {
    fn properties(&self) -> Properties {
        self.1.clone()
    }
    fn source_stamp(&self, _: &str) -> Option<SourceStamp> {
        None
    }
    fn worker_info(&self, _: &str) -> Option<Json> {
        None
    }
    fn secret<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        Box::pin(async move {
            let properties = with_properties.then(|| Arg::Properties(Arc::new(Inert), self.properties()));
            let all = properties.into_iter().chain(args.into_iter().map(Arg::Value)).collect();
            let called = self.0.host.call(callback, CallSite::new("renderer", "a test"), all).await;
            called.map_err(RenderError::from)
        })
    }
    fn build_url(&self) -> Option<String> {
        Some("http://ci/".into())
    }
}

/// What `c.properties.v` yields in a build with the properties `x = "x"`, `n = 7`, `empty = ""`, `list = {1, {2}}`.
async fn yields(expression: &str) -> Result<Json, String> {
    let loaded = load(&format!("c.properties = {{v = {expression}}}")).await;
    let mut properties = Properties::new();
    for (name, value) in [("x", json!("x")), ("n", json!(7)), ("empty", json!("")), ("list", json!([1, [2]]))]
    {
        properties.set(name, value, "test");
    }
    render(&loaded.config.properties["v"], &Build(&loaded, properties))
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn rows_04_002_04_024_04_027_to_04_036_renderables_mean_in_lua_what_they_mean() {
    for (expression, want) in [
        (r#"util.Property "x""#, json!("x")),
        (r#"util.Property{"empty", "d"}"#, json!("d")),
        (r#"util.Property{"empty", "d", defaultWhenFalse = false}"#, json!("")),
        (r#"util.Interpolate "%(prop:n)05d %(prop:no:-%(prop:x)s)s""#, json!("00007 x")),
        (r#"util.Interpolate{"%(kw:a)s", a = util.Property "x"}"#, json!("x")),
        (r#"util.Interpolate{"%s/%s", util.Property "x", 2}"#, json!("x/2")),
        (r#"util.renderer(function(p) return p.x .. p:getProperty("no", "d") end)"#, json!("xd")),
        (r#"util.renderer(function(p) return util.Property "n" end)"#, json!(7)),
        (
            r#"util.renderer(function(p, a, b, o) return {a, b, o.k} end):withArgs(util.Property "n", 2, {k = 1}):withArgs({k = 3})"#,
            json!([7, 2, 3]),
        ),
        (r#"util.Transform{function(a, b) return a .. b end, util.Property "x", "y"}"#, json!("xy")),
        (r#"util.FlattenList{{0, util.Property "list"}}"#, json!([0, 1, 2])),
        (r#"util.WithProperties "%(x)s-%(no:-d)s""#, json!("x-d")),
        ("util.URLForBuild", json!("http://ci/")),
        (r#"util.Secret{"none", default = "d"}"#, json!("d")),
        (r#"util.Property "x":eq("x")"#, json!(true)),
        (r#"util.Property "x":ne("x")"#, json!(false)),
        (r#"(util.Property "n" + 1):gt(7)"#, json!(true)),
        (r#"util.Property "x":in_{"a", "x"}"#, json!(true)),
        (r#"util.Property "empty":not_()"#, json!(true)),
        (r#"util.Property "x" .. "-" .. util.Property "n""#, json!("x-7")),
        (r#"10 - util.Property "n" * 2"#, json!(-4)),
        (r#"util.Property "n" // 2 % 2"#, json!(1)),
        (r#"{a = {util.Property "x"}}"#, json!({"a": ["x"]})),
        // 04.036
        (r#"{render = function(self, p) return self.before .. p.x end, before = "b"}"#, json!("bx")),
        (
            r#"setmetatable({n = util.Property "n"}, {__index = {render = function(self) return self.n end}})"#,
            json!(7),
        ),
        (
            r#"{a = {{render = function(self, p) return {render = function() return p.n end} end}}}"#,
            json!({"a": [7]}),
        ),
        (r#"util.Interpolate{"%(kw:a)s", a = {render = function(_, p) return p.x end}}"#, json!("x")),
        // 04.002
        (
            r#"util.renderer(function(p) return {p:getProperty("no") == nil, p:hasProperty("n"), p:getPropertySource("n"), p:asDict().x, p:asList()[2]} end)"#,
            json!([true, true, "test", "x", ["list", [1, [2]], "test"]]),
        ),
        // 04.032
        (r#"util.FlattenList{{0, {1}}} + util.FlattenList{{{2}}}"#, json!([0, 1, 2])),
    ] {
        assert_eq!(yields(expression).await, Ok(want), "{expression}");
    }
}

#[tokio::test]
async fn failures_name_the_line() {
    let error = yields(r#"util.Interpolate "%(secret:pw)s""#).await.unwrap_err();
    assert_eq!(error, "util.Interpolate at master.lua:8: secret \"pw\" is not known to any secrets provider");
    let error = yields("util.renderer(function() error('boom') end)").await.unwrap_err();
    assert!(error.starts_with("master.lua:8: boom"), "{error}");
}

fn change(branch: Json) -> Change {
    serde_json::from_value(json!({
        "changeid": 1, "parent_changeids": [], "author": "joe", "committer": null, "files": ["a.c"], "comments": "",
        "revision": null, "when_timestamp": 0, "branch": branch, "category": null, "revlink": null,
        "properties": {"k": ["v", "Change"]}, "repository": "r", "project": "p", "codebase": "",
        "sourcestamp": {"ssid": 1, "revision": null, "branch": null, "repository": "", "project": "",
                        "codebase": "", "patch": null, "created_at": 0}}))
    .unwrap()
}

#[tokio::test]
async fn filters_ask_their_functions_03_027_03_028() {
    for (options, branch, want) in [
        ("branch = util.null", json!(null), true),
        ("branch = util.null", json!("main"), false),
        (r#"branch = {"main", util.null}"#, json!(null), true),
        ("", json!("main"), true),
        ("branch_fn = function(b) return b == nil end", json!(null), true),
        ("branch_fn = function(b) return b == nil end", json!("main"), false),
        ("filter_fn = function(c) return c.who == 'joe' and c.properties.k == 'v' end", json!(null), true),
        ("filter_fn = function(c) return #c.files == 0 end", json!(null), false),
        ("filter_fn = function(c) return 'yes' end", json!(null), false),
        ("filter_fn = function(c) error('boom') end", json!(null), false),
    ] {
        let scheduler =
            "schedulers.SingleBranchScheduler{name = 's', builderNames = {'one'}, change_filter = ";
        let loaded = load(&format!("c.schedulers[2] = {scheduler}util.ChangeFilter{{{options}}}}}")).await;
        let object = AnyObject::from_json(loaded.config.schedulers[1].arg("change_filter").unwrap()).unwrap();
        let filter = ChangeFilter::read(&object).unwrap();
        let found = filter.matches(&change(branch.clone()), &*loaded.host, "scheduler s").await;
        assert_eq!(found, want, "{options} {branch}");
    }
}
