//! `util.http`, `util.cached` and `util.wait_any`, against a server of the test.

use crate::support::{Folder, HEAD, call, function_with};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers by the request's path: what it got (`/echo`), a status (`/status/404`), a redirection
/// (`/away`), a cookie (`/cookie`), nothing at all (`/silence`). Its address.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    format!("http://{address}")
}

async fn serve(socket: TcpStream) {
    let mut reader = BufReader::new(socket);
    loop {
        let Some((line, headers, body)) = read(&mut reader).await else { return };
        let path = line.split(' ').nth(1).unwrap_or_default();
        let (status, extra, text) = match path.split('?').next().unwrap_or_default() {
            "/silence" => std::future::pending().await,
            "/away" => ("302 Found", "location: /echo\r\n", String::new()),
            "/cookie" => ("200 OK", "set-cookie: a=b; Path=/\r\nX-Twice: 1\r\nX-Twice: 2\r\n", String::new()),
            "/status/404" => ("404 Not Found", "", "nothing here".to_string()),
            _ => {
                let echo = json!({"z": line, "headers": headers, "body": body});
                ("200 OK", "content-type: application/json\r\n", echo.to_string())
            }
        };
        let head = format!("HTTP/1.1 {status}\r\n{extra}content-length: {}\r\n\r\n{text}", text.len());
        reader.write_all(head.as_bytes()).await.unwrap();
    }
}

async fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, serde_json::Value, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok().filter(|count| *count > 0)?;
    let (mut headers, mut length) = (serde_json::Map::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
        headers.insert(name.to_ascii_lowercase(), value.into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some((line.trim().to_string(), headers.into(), String::from_utf8(body).unwrap()))
}

/// Runs `body` as a callback with `URL`; asserts in it are the test.
async fn check(body: &str) {
    let head = format!("local URL = \"{}\"", server().await);
    let (loaded, callback) = function_with(&format!("function()\n{body}\nreturn true\nend"), &head).await;
    assert_eq!(call(&loaded, &callback, Vec::new()).await.map_err(|e| e.message), Ok(json!(true)));
}

#[tokio::test]
async fn requests_say_what_was_written() {
    check(
        r#"
local res = util.http.post{URL .. "/echo", params = {b = {2, "x y"}, a = 1}, json = {k = {1, util.null}},
                           headers = {["X-Mine"] = "yes"}, auth = {"joe", "pw"}}
local got = res:json()
assert(res.status == 200 and res.ok and res.headers["Content-Type"] == "application/json")
assert(got.z == "POST /echo?a=1&b=2&b=x+y HTTP/1.1", got.z)
assert(got.body == '{"k":[1,null]}' and got.headers["content-type"] == "application/json", got.body)
assert(got.headers["x-mine"] == "yes" and got.headers.authorization == "Basic am9lOnB3")
assert(got.headers["user-agent"]:find "^lunabot/")
local first = next(got) for name in pairs(got) do first = name break end
assert(first == "z", "in the order of the document")
assert(util.http.request{"http" .. URL:sub(5) .. "/echo", method = "purge"}:json().z:find "^PURGE ")
assert(util.http.put{url = URL .. "/echo", data = {a = "1 2"}}:json().body == "a=1+2")
assert(util.http.get(URL .. "/echo").text == util.http.get(URL .. "/echo").body)
"#,
    )
    .await;
}

#[tokio::test]
async fn statuses_are_answers_and_redirections_are_followed_unless_told() {
    check(
        r#"
local res = util.http.get{URL .. "/status/404"}
assert(res.status == 404 and not res.ok and res.body == "nothing here")
assert(util.http.get{URL .. "/away"}.url == URL .. "/echo")
local away = util.http.get{URL .. "/away", allow_redirects = false}
assert(away.status == 302 and away.headers.Location == "/echo")
"#,
    )
    .await;
}

#[tokio::test]
async fn a_session_keeps_cookies_and_options() {
    check(
        r#"
local session = util.http.session{headers = {A = "1"}, timeout = 5}
local first = session:get{URL .. "/cookie"}
assert(first.cookies.a == "b" and first.headers["x-twice"] == "1, 2")
local headers = session:get{URL .. "/echo", headers = {B = "2"}}:json().headers
assert(headers.cookie == "a=b" and headers.a == "1" and headers.b == "2")
assert(util.http.get{URL .. "/echo"}:json().headers.cookie == nil, "nothing is kept without a session")
"#,
    )
    .await;
}

#[tokio::test]
async fn what_has_no_answer_raises_with_its_kind() {
    check(
        r#"
local ok, err = pcall(util.http.get, {URL .. "/silence", timeout = 0.05})
assert(not ok and err.kind == "timeout", tostring(err))
assert(tostring(err):find "^master.lua:%d+: util.http: " and ("x" .. err):find "^xmaster")
ok, err = pcall(util.http.get, {"http://127.0.0.1:1/"})
assert(not ok and err.kind == "connect" and err.message:find "refused", tostring(err))
ok, err = pcall(util.http.get, {"nonsense"})
assert(not ok and err.kind == "request", tostring(err))
for text, options in pairs{["did you mean timeout?"] = {URL, timout = 3}, ["url is missing"] = {}, ["above 0"] = {URL, timeout = 0},
                           ["not both"] = {URL, json = 1, data = "x"}, ["not a header that can be sent"] = {URL, headers = {["a b"] = "x"}}} do
  ok, err = pcall(util.http.get, options)
  assert(not ok and tostring(err):find(text, 1, true), tostring(err))
end
"#,
    )
    .await;
    let (loaded, callback) = function_with("function() util.http.get'http://127.0.0.1:1/' end", "").await;
    let error = call(&loaded, &callback, Vec::new()).await.unwrap_err();
    assert!(error.message.starts_with("master.lua:") && error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn several_requests_at_once_and_the_first_of_several() {
    check(
        r#"
local all = util.gather({1, 2, 3}, function(n) return util.http.get{URL .. "/echo?" .. n}.status end)
assert(util.equal(all, {200, 200, 200}))
local key, value = util.wait_any{slow = function() return util.http.get{URL .. "/silence"} end, fast = function() return 7 end}
assert(key == "fast" and value == 7)
local task = util.spawn(function() util.sleep(0.01) return "done" end)
key, value = util.wait_any{never = function() util.sleep(1e6) end, task = task}
assert(key == "task" and value == "done" and task:wait() == "done")
assert(not pcall(util.wait_any, {}) and not pcall(util.wait_any, {1}))
"#,
    )
    .await;
}

#[tokio::test]
async fn cached_results_outlive_a_reload_and_are_better_than_none() {
    let body = |max_age: &str, fails: bool| {
        format!(
            r#"{HEAD}
local asked = false
c.title = util.cached("names", {max_age}, function()
  asked = true
  if {fails} then error "no answer" end
  return {{"x"}}
end)[1] .. tostring(asked)
return c
"#
        )
    };
    let folder = Folder::new(&body("3600", false));
    assert_eq!(folder.load().await.unwrap().config.title, "xtrue");
    folder.write("master.lua", &body("'1h'", true));
    assert_eq!(folder.load().await.unwrap().config.title, "xfalse", "young enough");
    folder.write("master.lua", &body("0", true));
    assert_eq!(folder.load().await.unwrap().config.title, "xtrue", "too old, but there is no newer one");
    let fresh = Folder::new(&body("0", true));
    let failure = fresh.load().await.err().unwrap();
    assert!(failure.to_string().contains("no answer"), "{failure}");
}
