//! Questions to a REST API, and answers without what is never the same twice.

use super::{LOOK, LOOKS};
use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, Response};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A line of `questions.txt`.
pub struct Question {
    pub text: String,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Question {
    pub fn read_all(text: &str) -> Result<Vec<Question>> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        lines.map(|line| Self::read(line).with_context(|| line.to_owned())).collect()
    }

    fn read(line: &str) -> Result<Question> {
        let mut parts = line.split(" | ");
        let first = parts.next().unwrap_or_default();
        let (method, path) = match first.split_once(' ') {
            Some((method, path)) => (method.parse()?, path),
            None => (Method::GET, first),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/api/v2/{path}") };
        let (mut headers, mut body) = (Vec::new(), None);
        for part in parts {
            match part.split_once(": ").filter(|(name, _)| !name.contains(['{', '"'])) {
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                None => body = Some(part.to_owned()),
            }
        }
        if !headers.iter().any(|(name, _)| name == "accept") {
            headers.push(("accept".into(), "application/json".into()));
        }
        Ok(Question { text: line.into(), method, path, headers, body })
    }
}

/// Asks one master.
pub struct Asker {
    base: String,
    http: reqwest::Client,
    folders: Vec<String>,
    /// Ids of builders and their like, as one master hands them out in no order: field, first part of the name, id.
    named: Vec<(&'static str, String, i64)>,
}

impl Asker {
    /// `base` is `http://host:port`; `folders` are left out of what it says.
    pub fn new(base: &str, folders: &[&Path]) -> Result<Asker> {
        let folders = folders.iter().map(|folder| folder.to_string_lossy().into_owned()).collect();
        let http = lunabot_net::http::builder().pool_max_idle_per_host(0).no_proxy().build()?;
        Ok(Asker { base: base.into(), http, folders, named: Vec::new() })
    }

    /// Reads the ids that questions name as `{alpha}`.
    pub async fn learn(&mut self) -> Result<()> {
        for (plural, field) in
            [("builders", "builderid"), ("workers", "workerid"), ("schedulers", "schedulerid")]
        {
            let found = self.get(plural).await?;
            for row in found[plural].as_array().into_iter().flatten() {
                let name = row["name"].as_str().and_then(|name| name.split('/').next());
                if let (Some(name), Some(id)) = (name, row[field].as_i64()) {
                    self.named.push((field, name.to_owned(), id));
                }
            }
        }
        Ok(())
    }

    /// The id of a builder.
    pub fn builder(&self, wanted: &str) -> Option<i64> {
        self.named
            .iter()
            .find(|(field, name, _)| *field == "builderid" && name == wanted)
            .map(|(_, _, id)| *id)
    }

    fn with_ids(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (_, name, id) in &self.named {
            text = text.replace(&format!("{{{name}}}"), &id.to_string());
        }
        text
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let request =
            self.http.get(format!("{}/api/v2/{path}", self.base)).header("accept", "application/json");
        let response = request.send().await?;
        ensure!(response.status().is_success(), "GET {path}: {}", response.status());
        Ok(response.json().await?)
    }

    /// Reads until the answer is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        for _ in 0..LOOKS {
            // It may not serve yet.
            if let Ok(answer) = self.get(path).await
                && wanted(&answer)
            {
                return Ok(answer);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("{path} never became what was wanted")
    }

    pub async fn control(&self, path: &str, method: &str, params: Value) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self.http.post(format!("{}/api/v2/{path}", self.base)).json(&body);
        let reply: Value = request.send().await?.json().await?;
        ensure!(reply.get("error").is_none(), "{method} {path}: {reply}");
        Ok(reply["result"].clone())
    }

    /// A change for the hook `base`.
    pub async fn change(&self, fields: &[(&str, &str)]) -> Result<()> {
        let mut all = vec![("comments", "a change"), ("when_timestamp", "1700000000")];
        all.extend_from_slice(fields);
        let encoded = all.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
        let body = encoded.collect::<Vec<_>>().join("&");
        let request = self.http.post(format!("{}/change_hook/base", self.base));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        ensure!(request.send().await?.status().is_success(), "the hook refuses");
        Ok(())
    }

    pub async fn ask_all(&self, questions: &[Question]) -> Result<Vec<Value>> {
        let mut answers = Vec::new();
        for question in questions {
            answers.push(self.ask(question).await.with_context(|| question.text.clone())?);
        }
        Ok(answers)
    }

    /// The answer. A connection that breaks once is an accident of a busy machine: who only reads asks again.
    async fn ask(&self, question: &Question) -> Result<Value> {
        let answer = self.ask_once(question).await?;
        if answer["form"] == "broken" && question.method.is_safe() {
            return self.ask_once(question).await;
        }
        Ok(answer)
    }

    async fn ask_once(&self, question: &Question) -> Result<Value> {
        let address = format!("{}{}", self.base, self.with_ids(&question.path));
        let mut request = self.http.request(question.method.clone(), address);
        for (name, value) in &question.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &question.body {
            request = request.body(self.with_ids(body));
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), headers(&response));
        // One of the masters tells lengths that it does not send.
        let (form, body) = match response.text().await {
            Ok(text) => self.body(&text),
            Err(_) => ("broken", Value::Null),
        };
        Ok(json!({"status": status, "headers": headers, "form": form, "body": body}))
    }

    /// How a body is written, and what it says.
    fn body(&self, text: &str) -> (&'static str, Value) {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return ("text", self.text(text).into());
        };
        value.sort_all_objects();
        let compact = value.to_string();
        let form = match text {
            text if text == compact => "compact",
            text if serde_json::to_string_pretty(&value).is_ok_and(|pretty| pretty == text) => "indented",
            _ => "other",
        };
        self.normalise("", &mut value);
        (form, value)
    }

    fn normalise(&self, name: &str, value: &mut Value) {
        match value {
            Value::Object(map) => {
                // A property in a list has its value as text.
                if map.get("name").is_some_and(|name| name == "builderid") && map.contains_key("value") {
                    map.insert("value".into(), "ID".into());
                }
                map.iter_mut().for_each(|(name, value)| self.normalise(name, value));
            }
            // Types are compared; paths are by being asked.
            Value::Array(items) if name == "specs" => {
                let by_type = |item: &mut Value| {
                    (item["type"].as_str().unwrap_or_default().to_owned(), item["type_spec"].take())
                };
                *value = Value::Object(items.iter_mut().map(by_type).collect());
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.normalise(name, item)),
            Value::Number(id) if self.named.iter().any(|(field, _, _)| *field == name) => {
                let is_it =
                    |(field, _, known): &&(&str, String, i64)| *field == name && Some(*known) == id.as_i64();
                if let Some((_, name, _)) = self.named.iter().find(is_it) {
                    *value = name.as_str().into();
                }
            }
            Value::Number(_) if name.ends_with("_at") || TIMES.contains(&name) => *value = "TIME".into(),
            Value::String(text) => *value = self.text(text).into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        match value {
            // In the order of ids, which one of the masters hands out as it comes.
            Value::Array(items) if name == "configured_on" => items.sort_by_key(Value::to_string),
            info if name == "workerinfo" => *info = "INFO".into(),
            _ => {}
        }
    }

    /// Without folders, host, and what a worker says of times and processes.
    fn text(&self, text: &str) -> String {
        // Their text goes on with what is inside of that master.
        let text = match text.split_once("not found while getting from endpoint for ") {
            Some(("", _)) => "not found while getting from endpoint",
            _ => text,
        };
        let mut text = text.replace(&self.base, "BASE");
        for folder in &self.folders {
            text = text.replace(folder.as_str(), "DIR");
        }
        for (_, name, id) in self.named.iter().filter(|(field, ..)| *field == "builderid") {
            text = text.replace(&format!("#/builders/{id}/"), &format!("#/builders/{name}/"));
        }
        let words = text.split_inclusive(['\n', ' ']);
        let word = |word: &str| match word.split_once("elapsedTime=") {
            Some((before, _)) => format!("{before}elapsedTime=T\n"),
            None => word.to_owned(),
        };
        let text: String = words.map(word).collect();
        match text.split_once(":DIR") {
            Some((host, rest)) if !host.contains([' ', '\n']) => format!("HOST:DIR{rest}"),
            _ => text,
        }
    }
}

/// Numbers that are times.
const TIMES: &[&str] = &["last_active", "locks_duration_s"];

fn headers(response: &Response) -> Map<String, Value> {
    let told = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    const TOLD: &[&str] = &[
        "content-type",
        "content-disposition",
        "access-control-allow-origin",
        "access-control-allow-headers",
        "access-control-max-age",
    ];
    TOLD.iter().filter_map(|name| Some(((*name).to_owned(), told(name)?.into()))).collect()
}

fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
