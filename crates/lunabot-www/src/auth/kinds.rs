//! Kinds of logins without another site's help (10.020–10.023). Those of other sites are in [`super::oauth`].

use lunabot_model::kind::{CallbackSpec, Category, Kind, Params, Problem, check_as, schema_of};
use lunabot_model::{Callback, Json, Renderable, pattern};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// `util.NoAuth` (10.020).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoAuthParams {}

impl Params for NoAuthParams {}

/// `util.UserPasswordAuth` (10.021).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPasswordAuthParams {
    /// User → password; a password may be a `util.Secret`.
    #[serde(deserialize_with = "users")]
    #[schemars(schema_with = "users_schema")]
    pub users: BTreeMap<String, Renderable<String>>,
}

/// A table, or a list of pairs.
fn users_schema(generator: &mut SchemaGenerator) -> Schema {
    let text = generator.subschema_for::<Renderable<String>>();
    json_schema!({"anyOf": [
        {"type": "object", "additionalProperties": text},
        {"type": "array", "items": {"type": "array", "items": text}},
    ]})
}

fn users<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, Renderable<String>>, D::Error> {
    let written = match Json::deserialize(d)? {
        Json::Array(pairs) => {
            let pairs = pairs.into_iter().map(serde_json::from_value::<(String, Json)>);
            let pairs: Result<serde_json::Map<String, Json>, _> = pairs.collect();
            let wrong =
                |_| D::Error::custom("expected user = \"password\", or pairs {\"user\", \"password\"}");
            Json::Object(pairs.map_err(wrong)?)
        }
        table => table,
    };
    serde_json::from_value(written).map_err(D::Error::custom)
}

impl Params for UserPasswordAuthParams {
    fn validate(&self) -> Vec<Problem> {
        let empty =
            self.users.iter().filter(|(_, password)| password.literal().is_some_and(|p| p.is_empty()));
        let mut problems: Vec<Problem> = empty
            .map(|(user, _)| Problem::new(format!("users.{user}"), "the password must not be empty"))
            .collect();
        if self.users.is_empty() {
            problems.push(Problem::new("users", "is empty: nobody could log in"));
        }
        problems
    }
}

/// `util.HTPasswdAuth` (10.021).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HtPasswdAuthParams {
    /// A file as Apache's `htpasswd` writes it; relative to the configuration's folder. It is read anew when it changes.
    #[serde(rename = "passwdFile")]
    pub file: String,
}

impl Params for HtPasswdAuthParams {}

/// `util.CustomAuth` (10.022).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomAuthParams {
    /// Decides about a name and a password.
    pub check_credentials: Callback,
}

impl Params for CustomAuthParams {}

/// `util.RemoteUserAuth` (10.023).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteUserAuthParams {
    /// The header in which a proxy tells who it is. It is believed of `www.trusted_proxies` alone.
    #[serde(default = "remote_user")]
    pub header: String,
    /// Matched from the header's start; its groups (`username` must be one) tell of the user.
    #[serde(default = "remote_user_pattern", rename = "headerRegex")]
    pub pattern: String,
}

fn remote_user() -> String {
    "REMOTE_USER".into()
}

fn remote_user_pattern() -> String {
    "(?P<username>[^ @]+)@(?P<realm>[^ @]+)".into()
}

impl Params for RemoteUserAuthParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if axum::http::HeaderName::from_bytes(self.header.as_bytes()).is_err() {
            problems.push(Problem::new("header", format!("'{}' is no name of a header", self.header)));
        }
        match pattern::anchored(&self.pattern) {
            Err(why) => problems.push(Problem::new("headerRegex", why)),
            Ok(regex) if !regex.capture_names().flatten().any(|name| name == "username") => {
                problems.push(Problem::new("headerRegex", "has no group (?P<username>…)"));
            }
            Ok(_) => {}
        }
        problems
    }
}

/// `util.AvatarGravatar` (10.032).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AvatarGravatarParams {}

impl Params for AvatarGravatarParams {}

/// A kind of this room: plain data, in the module `util`.
pub const fn kind<P: Params>(
    name: &'static str,
    positional: &'static [&'static str],
    doc: &'static str,
) -> Kind {
    Kind {
        namespace: "util",
        name,
        aliases: &[],
        category: Category::Value,
        positional,
        flat: false,
        doc,
        schema: schema_of::<P>,
        check: check_as::<P>,
        callbacks: &[],
        extensible: false,
    }
}

pub static NO_AUTH: Kind =
    kind::<NoAuthParams>("NoAuth", &[], "Nobody can log in. The default of c.www.auth.");

pub static USER_PASSWORD_AUTH: Kind = Kind {
    flat: true,
    ..kind::<UserPasswordAuthParams>(
        "UserPasswordAuth",
        &["users"],
        "People log in with a name and a password that the configuration knows. Also for change_hook_auth.",
    )
};

pub static HTPASSWD_AUTH: Kind = kind::<HtPasswdAuthParams>(
    "HTPasswdAuth",
    &["passwdFile"],
    "People log in with a name and a password of a file that Apache's htpasswd writes.",
);

pub static CUSTOM_AUTH: Kind = Kind {
    callbacks: &[CallbackSpec {
        option: "check_credentials",
        args: "username, password",
        returns: "true, or a table with what is known of the person (email, full_name, groups); false or nil: refused",
        on_error: "refused",
    }],
    ..kind::<CustomAuthParams>(
        "CustomAuth",
        &["check_credentials"],
        "People log in with a name and a password that a function judges.",
    )
};

pub static AVATAR_GRAVATAR: Kind = kind::<AvatarGravatarParams>(
    "AvatarGravatar",
    &[],
    "Pictures of people by a digest of their address, from gravatar.com. For c.www.avatar_methods.",
);

pub static REMOTE_USER_AUTH: Kind = kind::<RemoteUserAuthParams>(
    "RemoteUserAuth",
    &["header", "headerRegex"],
    "A proxy in front logs people in and tells in a header who they are.",
);
