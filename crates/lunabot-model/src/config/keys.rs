//! The keys of the configuration table: those we read, and what to say about the others (reference 1b).

use crate::CallbackSpec;

/// Those that take functions.
pub const CALLBACKS: &[CallbackSpec] = &[
    CallbackSpec {
        option: "collapseRequests",
        args: "master, builder, req1, req2",
        returns: "true or false",
        on_error: "not collapsed",
    },
    CallbackSpec {
        option: "prioritizeBuilders",
        args: "master, builders",
        returns: "the builders wanted, in order",
        on_error: "the default order",
    },
    CallbackSpec {
        option: "select_next_worker",
        args: "builder, wfbs, request",
        returns: "one of them, or nil: none now",
        on_error: "none now",
    },
    CallbackSpec {
        option: "codebaseGenerator",
        args: "change",
        returns: "a text",
        on_error: "the empty codebase",
    },
    CallbackSpec {
        option: "revlink",
        args: "revision, repository",
        returns: "an address, or nil",
        on_error: "no link",
    },
];

/// Keys that are read.
pub(super) const KNOWN: &[&str] = &[
    "buildbotNetUsageData",
    "buildbotURL",
    "builders",
    "changeHorizon",
    "change_source",
    "codebaseGenerator",
    "codebases",
    "collapseRequests",
    "configurators",
    "db",
    "db_url",
    "logCompressionMethod",
    "logEncoding",
    "logMaxSize",
    "logMaxTailSize",
    "lua",
    "mq",
    "prioritizeBuilders",
    "projects",
    "properties",
    "protocols",
    "revlink",
    "schedulers",
    "secretsProviders",
    "select_next_worker",
    "services",
    "title",
    "titleURL",
    "workers",
    "www",
];

const JANITOR: &str = "is gone; write configurators = {util.JanitorConfigurator{logHorizon = \"4w\", …}}, which takes out what is old";

/// Keys of Buildbot that are not read, with the reason.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("buildHorizon", JANITOR),
    ("buildCacheSize", "is gone; caches size themselves, leave it out"),
    ("caches", "has no use: caches size themselves, leave it out"),
    ("changeCacheSize", "is gone; caches size themselves, leave it out"),
    ("eventHorizon", JANITOR),
    ("logHorizon", JANITOR),
    ("mergeRequests", "is called collapseRequests"),
    ("debugPassword", "is gone, leave it out"),
    ("logCompressionLimit", "has no effect; logs are always compressed, leave it out"),
    ("machines", "not supported yet"),
    ("manhole", "not supported yet"),
    ("metrics", "has no use: /metrics is always there, leave it out"),
    ("multiMaster", "not supported yet"),
    ("slaves", "is called workers"),
    ("status", "is called services"),
    ("user_managers", "not supported yet"),
    ("validation", "not supported yet"),
];

/// Keys of `c.www` that Buildbot has and that are not read.
pub(super) const REFUSED_WWW: &[(&str, &str)] = &[
    ("custom_templates_dir", "has no effect, leave it out"),
    ("debug", "not supported yet"),
    ("graphql", "is gone, leave it out"),
    ("jsonp", "is gone, leave it out"),
    (
        "logRotateLength",
        "has no use: the log of the master has requests too where LUNABOT_LOG asks for them (lunabot_www::access=debug), leave it out",
    ),
    (
        "logfileName",
        "has no use: the log of the master has requests too where LUNABOT_LOG asks for them (lunabot_www::access=debug), leave it out",
    ),
    (
        "maxRotatedFiles",
        "has no use: the log of the master has requests too where LUNABOT_LOG asks for them (lunabot_www::access=debug), leave it out",
    ),
    ("project_widgets", "not supported yet"),
];
