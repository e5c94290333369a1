//! What each site is asked, and what is made of its answers.

use super::idtoken::{self, Expected};
use super::web::{self, Named};
use crate::auth::User;
use lunabot_model::Json;
use lunabot_net::reqwest::Client;
use serde_json::{Map, json};

/// The sites at which people can log in.
#[derive(Debug, Clone)]
pub enum Site {
    GitHub { web: String, api: String, teams: bool },
    GitLab { instance: String },
    Bitbucket { web: String, api: String },
    OpenId { issuer: String, scopes: Vec<String>, username: String, groups: String },
}

/// Where a site is asked.
pub struct Places {
    pub authorize: String,
    pub token: String,
    pub scope: String,
    /// The client names itself in a header rather than in the body.
    pub basic: bool,
    keys: String,
    person: Option<String>,
}

/// A login that came back.
pub struct Back<'a> {
    pub client: &'a Client,
    /// What the code was exchanged for.
    pub tokens: &'a Json,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub now: i64,
}

impl Site {
    pub async fn places(&self, client: &Client) -> Result<Places, String> {
        let places = |authorize: String, token: String, scope: &str| Places {
            authorize,
            token,
            scope: scope.into(),
            basic: false,
            keys: String::new(),
            person: None,
        };
        Ok(match self {
            Site::GitHub { web, .. } => places(
                format!("{web}/login/oauth/authorize"),
                format!("{web}/login/oauth/access_token"),
                "user:email read:org",
            ),
            Site::GitLab { instance } => {
                places(format!("{instance}/oauth/authorize"), format!("{instance}/oauth/token"), "read_api")
            }
            Site::Bitbucket { web, .. } => Places {
                basic: true,
                ..places(
                    format!("{web}/site/oauth2/authorize"),
                    format!("{web}/site/oauth2/access_token"),
                    "account email",
                )
            },
            Site::OpenId { issuer, scopes, .. } => discover(client, issuer, scopes).await?,
        })
    }

    /// Who somebody is.
    pub async fn person(&self, back: &Back<'_>, places: &Places) -> Result<User, String> {
        let token = back.tokens["access_token"].as_str().unwrap_or_default();
        if token.is_empty() {
            return Err("the site gave no access token".into());
        }
        let asking = Named { client: back.client, token };
        let info = match self {
            Site::GitHub { api, teams, .. } => github(&asking, api, *teams).await?,
            Site::GitLab { instance } => gitlab(&asking, instance).await?,
            Site::Bitbucket { api, .. } => bitbucket(&asking, api).await?,
            Site::OpenId { issuer, username, groups, .. } => {
                let claims = open_id(&asking, back, places, issuer).await?;
                from_claims(&claims, username, groups)
            }
        };
        let user = User::from_info(info);
        if user.text("username").is_none_or(str::is_empty) {
            Err("the site names nobody".into())
        } else {
            Ok(user)
        }
    }
}

/// Keys whose values are texts.
fn info(pairs: &[(&str, Option<&str>)]) -> Map<String, Json> {
    let given = pairs.iter().filter_map(|(key, value)| Some((*key, value.filter(|text| !text.is_empty())?)));
    given.map(|(key, value)| (key.to_owned(), value.into())).collect()
}

async fn github(asking: &Named<'_>, api: &str, teams: bool) -> Result<Map<String, Json>, String> {
    let person = asking.get(&format!("{api}/user")).await?;
    let mails = asking.list(&format!("{api}/user/emails"), "per_page", None).await?;
    // Only what GitHub has verified: anybody can claim any address.
    let mail = mails.iter().find(|mail| mail["primary"] == true && mail["verified"] == true);
    let mut groups: Vec<String> = Vec::new();
    for org in asking.list(&format!("{api}/user/orgs"), "per_page", None).await? {
        groups.extend(org["login"].as_str().map(str::to_owned));
    }
    if teams {
        for team in asking.list(&format!("{api}/user/teams"), "per_page", None).await? {
            let of = team["organization"]["login"].as_str().zip(team["slug"].as_str());
            groups.extend(of.map(|(org, team)| format!("{org}/{team}")));
        }
    }
    let mut info = info(&[
        ("username", person["login"].as_str()),
        ("full_name", person["name"].as_str()),
        ("email", mail.and_then(|mail| mail["email"].as_str())),
    ]);
    info.insert("groups".into(), json!(groups));
    Ok(info)
}

async fn gitlab(asking: &Named<'_>, instance: &str) -> Result<Map<String, Json>, String> {
    let person = asking.get(&format!("{instance}/api/v4/user")).await?;
    let groups =
        asking.list(&format!("{instance}/api/v4/groups?min_access_level=10"), "per_page", None).await?;
    let confirmed = !person["confirmed_at"].is_null();
    let mut info = info(&[
        ("username", person["username"].as_str()),
        ("full_name", person["name"].as_str()),
        ("email", person["email"].as_str().filter(|_| confirmed)),
    ]);
    // The whole path: anybody may make a group of any name below one of their own.
    let groups = groups.iter().filter_map(|group| group["full_path"].as_str());
    info.insert("groups".into(), groups.collect());
    Ok(info)
}

async fn bitbucket(asking: &Named<'_>, api: &str) -> Result<Map<String, Json>, String> {
    let person = asking.get(&format!("{api}/2.0/user")).await?;
    let mails = asking.list(&format!("{api}/2.0/user/emails"), "pagelen", Some("values")).await?;
    let mail = mails.iter().find(|mail| mail["is_primary"] == true && mail["is_confirmed"] == true);
    let spaces = asking.list(&format!("{api}/2.0/workspaces"), "pagelen", Some("values")).await?;
    let mut info = info(&[
        // A nickname can be anybody's.
        ("username", person["username"].as_str().or(person["account_id"].as_str())),
        ("full_name", person["display_name"].as_str()),
        ("email", mail.and_then(|mail| mail["email"].as_str())),
    ]);
    info.insert("groups".into(), spaces.iter().filter_map(|space| space["slug"].as_str()).collect());
    Ok(info)
}

async fn discover(client: &Client, issuer: &str, scopes: &[String]) -> Result<Places, String> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let told = web::json(client.get(&url), &url).await?;
    if told["issuer"] != issuer {
        return Err(format!(
            "{url} is of the issuer {}, not of {issuer}; write it exactly so",
            told["issuer"]
        ));
    }
    let place = |key: &str| {
        let place =
            told[key].as_str().filter(|text| text.starts_with("https://") || text.starts_with("http://"));
        place.map(str::to_owned).ok_or_else(|| format!("{url} has no {key}"))
    };
    let methods = told["token_endpoint_auth_methods_supported"].as_array();
    let has = |method: &str| methods.is_some_and(|all| all.iter().any(|known| known == method));
    let mut scopes = scopes.to_vec();
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".into());
    }
    Ok(Places {
        authorize: place("authorization_endpoint")?,
        token: place("token_endpoint")?,
        keys: place("jwks_uri")?,
        person: place("userinfo_endpoint").ok(),
        scope: scopes.join(" "),
        basic: methods.is_none() || has("client_secret_basic") || !has("client_secret_post"),
    })
}

/// The claims of the token, with those that only the provider's own page of the person has.
async fn open_id(asking: &Named<'_>, back: &Back<'_>, places: &Places, issuer: &str) -> Result<Json, String> {
    let keys = web::json(back.client.get(&places.keys), &places.keys).await?;
    let token = back.tokens["id_token"].as_str().ok_or("the site gave no ID token")?;
    let expected = Expected { issuer, client_id: back.client_id, nonce: back.nonce, now: back.now };
    let mut claims =
        idtoken::read(token, &keys, &expected).map_err(|why| format!("the ID token is refused: {why}"))?;
    let Some(person) = &places.person else { return Ok(claims) };
    let more = asking.get(person).await?;
    if more["sub"] != claims["sub"] {
        return Err(format!("{person} tells of somebody else"));
    }
    if let (Some(claims), Json::Object(more)) = (claims.as_object_mut(), more) {
        for (key, value) in more {
            claims.entry(key).or_insert(value);
        }
    }
    Ok(claims)
}

fn from_claims(claims: &Json, username: &str, groups: &str) -> Map<String, Json> {
    // Absent means that the provider knows its people.
    let verified =
        !matches!(&claims["email_verified"], Json::Bool(false)) && claims["email_verified"] != "false";
    let email = claims["email"].as_str().filter(|_| verified);
    let named = claims[username].as_str().filter(|_| verified || username != "email");
    let mut info = info(&[
        ("username", named.or(email).or(claims["sub"].as_str())),
        ("full_name", claims["name"].as_str()),
        ("email", email),
        ("sub", claims["sub"].as_str()),
    ]);
    let found = groups.split('.').try_fold(claims, |at, key| at.get(key)).and_then(Json::as_array);
    // A claim's own name may have dots in it, as an address has.
    let found = found.or_else(|| claims.get(groups).and_then(Json::as_array));
    let groups = found.into_iter().flatten().filter_map(Json::as_str);
    info.insert("groups".into(), groups.collect());
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Uri;
    use axum::{Json as Answer, Router};

    async fn bitbuckets(uri: Uri) -> Answer<Json> {
        Answer(match uri.path() {
            "/2.0/user" => json!({"account_id": "5:1", "nickname": "admin", "display_name": "Joe"}),
            "/2.0/user/emails" => json!({"values": [
                {"email": "admin@example.org", "is_primary": true, "is_confirmed": false},
                {"email": "joe@example.org", "is_primary": true, "is_confirmed": true},
            ]}),
            "/2.0/workspaces" => json!({"values": [{"slug": "acme", "name": "admins"}]}),
            _ => json!({}),
        })
    }

    #[tokio::test]
    async fn row_10_024_bitbucket_tells_confirmed_addresses_and_workspaces() {
        let any = crate::Endpoint::read(&json!("127.0.0.1:0")).unwrap();
        let listener = crate::listen(&any, std::path::Path::new(".")).await.unwrap();
        let api = format!("http://127.0.0.1:{}", listener.port().unwrap());
        let stop = tokio_util::sync::CancellationToken::new();
        tokio::spawn(crate::serve(listener, Router::new().fallback(bitbuckets), stop.clone()));
        let client = web::client(true).unwrap();
        let told = bitbucket(&Named { client: &client, token: "t" }, &api).await.unwrap();
        let wanted =
            json!({"username": "5:1", "full_name": "Joe", "email": "joe@example.org", "groups": ["acme"]});
        assert_eq!(Json::Object(told), wanted);
        stop.cancel();
    }

    #[test]
    fn row_10_024_google_tells_whole_addresses_that_it_has_verified() {
        let told = |claims: Json| Json::Object(from_claims(&claims, "email", "groups"));
        let claims = json!({"sub": "1", "email": "joe@example.org", "email_verified": true, "name": "Joe"});
        let wanted = json!({"username": "joe@example.org", "email": "joe@example.org", "full_name": "Joe", "sub": "1", "groups": []});
        assert_eq!(told(claims), wanted);
        for unverified in [json!(false), json!("false")] {
            let claims = json!({"sub": "1", "email": "boss@example.org", "email_verified": unverified});
            assert_eq!(told(claims), json!({"username": "1", "sub": "1", "groups": []}));
        }
    }

    #[test]
    fn groups_are_found_by_name_or_path() {
        let claims = json!({"sub": "1", "realm_access": {"roles": ["a"]}, "https://x.org/groups": ["b"], "groups": "none"});
        let groups = |claim: &str| from_claims(&claims, "sub", claim)["groups"].clone();
        assert_eq!(groups("realm_access.roles"), json!(["a"]));
        assert_eq!(groups("https://x.org/groups"), json!(["b"]));
        assert_eq!((groups("groups"), groups("other")), (json!([]), json!([])));
    }
}
