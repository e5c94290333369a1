//! The helpers of `util`, as a configuration uses them.

use crate::support::{Folder, HEAD, Still, call, function};
use lunabot_lua::{Host, LoadOptions};
use lunabot_model::{Json, Time};
use serde_json::json;
use std::sync::Arc;

/// Runs `body` at file scope; asserts in it are the test.
async fn check(body: &str, files: &[(&str, &str)]) {
    let folder = Folder::new(&format!("{HEAD}{body}\nreturn c\n"));
    for (name, text) in files {
        folder.write(name, text);
    }
    folder.load().await.unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn tables_and_text() {
    check(
        r#"
local eq = function(a, b) assert(util.equal(a, b), util.to_json(a) .. " is not " .. util.to_json(b)) end
eq(util.merge({a = 1, b = 2}, {b = util.null}), {a = 1, b = util.null})
eq(util.concat({1, 2}, nil, {3}), {1, 2, 3})
eq(util.map({1, 2}, function(n) return n * 2 end), {2, 4})
eq(util.filter({1, 2, 3}, function(n) return n > 1 end), {2, 3})
assert(util.contains({1, {2}}, {2}) and util.contains("abc", "b") and not util.contains({}, 1))
assert(util.any({false, 1}) and not util.any({1}, function(n) return n > 1 end))
eq(util.set{"a", "a"}, {a = true})
eq(util.keys{b = 1, a = 2}, {"a", "b"})
eq(util.values{b = 1, a = 2}, {2, 1})
eq(util.sorted{3, 1, 2}, {1, 2, 3})
eq(util.split("a,b,,c", ","), {"a", "b", "", "c"})
eq(util.split(" a  b "), {"a", "b"})
assert(util.strip "  a b " == "a b" and util.startswith("abc", "ab") and util.endswith("abc", "bc"))
assert(util.path.join("a", "b/", "c") == "a/b/c" and util.path.basename "a/b" == "b" and util.path.dirname "a/b" == "a")
assert(util.fnmatch("a.py", "*.py") and not util.fnmatch("a.pyc", "*.py"))
eq(util.shlex_split "a 'b c'", {"a", "b c"})
assert(util.base64_decode(util.base64_encode "x\0y") == "x\0y")
assert(util.md5 "" == "d41d8cd98f00b204e9800998ecf8427e")
assert(util.sha1 "" == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
assert(util.sha256 "":sub(1, 8) == "e3b0c442")
assert(util.truthy "x" and not util.truthy "" and not util.truthy(0) and not util.truthy {} and not util.truthy(util.null))
assert(util.timedelta{hours = 1, minutes = 30} == 5400)
"#,
        &[],
    )
    .await;
}

#[tokio::test]
async fn rows_05_001_05_002_results_have_codes_names_and_plurals() {
    check(
        r#"
local names = {[0] = "success", "warnings", "failure", "skipped", "exception", "retry", "cancelled"}
local many = {[0] = "successes", "warnings", "failures", "skipped", "exceptions", "retries", "cancelled"}
for code = 0, 6 do
  assert(util[names[code]:upper()] == code and util.Results[code] == names[code])
  assert(util.statusToString(code) == names[code] and util.statusToString(code, 1) == names[code])
  assert(util.statusToString(code, 2) == many[code])
end
assert(util.statusToString(nil) == "not finished" and util.statusToString(7) == "Invalid status")
local worst_first = {util.CANCELLED, util.RETRY, util.EXCEPTION, util.FAILURE, util.WARNINGS, util.SUCCESS, util.SKIPPED}
for i, worse in ipairs(worst_first) do
  for j = i, 7 do
    assert(util.worst_status(worse, worst_first[j]) == worse and util.worst_status(worst_first[j], worse) == worse)
  end
  assert(util.worst_status(worse, nil) == worse and util.worst_status(util.null, worse) == worse)
end
assert(util.worst_status(nil, nil) == nil and not pcall(util.worst_status, "x", "y"))
"#,
        &[],
    )
    .await;
}

#[tokio::test]
async fn documents_are_read_in_their_order_and_watched() {
    let body = r#"
local function names(t) local all = {} for k in pairs(t) do all[#all + 1] = k end return table.concat(all, " ") end
local j, y, t, i = util.load_json "a.json", util.load_yaml "a.yaml", util.load_toml "a.toml", util.load_ini "a.ini"
assert(names(j) == "z a" and j.a[1] == 1 and j.a[2] == util.null)
assert(names(y) == "z a" and y.a.b == true)
assert(names(t) == "z a" and t.a.b == 1.5)
assert(names(i) == "z a" and i.a:bool "on" and i.a:int("n", 3) == 7 and i.a:list("l")[2] == "y" and i.z.x == "1\n2")
assert(i.a:int("none", 3) == 3)
local odd = util.parse_ini("[a]\nlist = 1, 2\n").a
assert(odd.list == "1, 2" and getmetatable(odd).list(odd, "list")[2] == "2")
assert(util.to_json{b = 1, a = {1, "x", util.null}} == '{"a":[1,"x",null],"b":1}')
assert(util.to_json(j) == '{"z":1,"a":[1,null]}')
assert(util.read_file "a.json" == '{"z":1,"a":[1,null]}')
for _, case in ipairs{ {"load_json", "bad.json", "bad.json:2: "}, {"load_yaml", "bad.yaml", "bad.yaml:3: "},
                       {"load_toml", "bad.toml", "bad.toml:2: "}, {"load_ini", "bad.ini", "bad.ini:2: "},
                       {"read_file", "none", "none: No such file"} } do
  local ok, message = pcall(util[case[1]], case[2])
  assert(not ok and tostring(message):find(case[3], 1, true), tostring(message))
end
"#;
    let files = [
        ("a.json", r#"{"z":1,"a":[1,null]}"#),
        ("a.yaml", "z: 1\na:\n  b: true\n"),
        ("a.toml", "z = 1\n[a]\nb = 1.5\n"),
        ("a.ini", "# c\n[z]\nx = 1\n  2\n[a]\non = yes\nn: 7\nl = x, y\n"),
        ("bad.json", "{\n  x"),
        ("bad.yaml", "a: 1\nb: [1\n"),
        ("bad.toml", "a = 1\nb = = 2\n"),
        ("bad.ini", "[a]\nwhat\n"),
    ];
    check(body, &files).await;
}

#[tokio::test]
async fn xml_is_read_into_plain_tables() {
    let body = r#"
local root = util.load_xml "a.xml"
assert(root.name == "root" and root.namespace == nil and next(root.attrs) == nil and #root == 3)
assert(root.text == "\n  \n  \n  " and root[1].name == "a" and root[1].attrs.k == "1 < 2" and root[1].text == "x y & <z>")
assert(root[2].namespace == "urn:b" and root[2].name == "b" and root[3][1].name == "deep")
assert(util.parse_xml("<a/>").text == "")
local deep = ("<a>"):rep(201) .. ("</a>"):rep(201)
for _, case in ipairs{
  {"load_xml", "bad.xml", "bad.xml: line 2: "}, {"load_xml", "none.xml", "none.xml: No such file"},
  {"parse_xml", "<a>\n<b></a>", "util.parse_xml: line 2: "}, {"parse_xml", "", "util.parse_xml: line 1: "},
  {"parse_xml", deep, "more than 200 elements inside each other"}, {"parse_xml", "<a>\xff</a>", "not UTF-8"},
  {"parse_xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "DTD"},
} do
  local ok, message = pcall(util[case[1]], case[2])
  assert(not ok and tostring(message):find(case[3], 1, true), tostring(message))
end
assert(util.parse_xml(("<a>"):rep(200) .. ("</a>"):rep(200)).name == "a")
"#;
    let a = "<?xml version=\"1.0\"?>\n<root>\n  <a k=\"1 &lt; 2\">x<!-- no --> y &amp; <![CDATA[<z>]]></a>\n  <b xmlns=\"urn:b\"/>\n  <c><deep/></c></root>";
    check(body, &[("a.xml", a), ("bad.xml", "<a>\n<b =></a>")]).await;
}

#[tokio::test]
async fn addresses_of_repositories_are_taken_apart() {
    check(
        r#"
local url = util.parse_git_url "https://joe@git.example.org:8443/tools/hello.git"
assert(util.equal(url, {proto = "https", user = "joe", domain = "git.example.org", port = 8443, owner = "tools", repo = "hello"}))
assert(util.parse_git_url "/srv/git/hello.git" == nil)
"#,
        &[],
    )
    .await;
}

#[tokio::test]
async fn regular_expressions_are_pythons() {
    check(
        r#"
local re = util.re([[(\d+)-(?P<name>\w+)]])
local m = re:search "x 12-ab"
assert(m[0] == "12-ab" and m[1] == "12" and m.name == "ab" and m:start() == 3 and m:stop() == 7)
assert(re:match "x 12-ab" == nil and re:match "12-ab!" and re:fullmatch "12-ab!" == nil)
assert(util.equal(util.re("[a-z]"):findall "a1b", {"a", "b"}))
assert(re:sub([[\2/\g<name>]], "12-ab") == "ab/ab")
assert(util.re("a"):sub(function(m) return m[0]:upper() end, "banana", 2) == "bAnAna")
assert(util.equal(util.re(",\\s*"):split "a, b,c", {"a", "b", "c"}))
assert(util.equal(util.re("(,)(;)?"):split "a,b,;c", {"a", ",", util.null, "b", ",", ";", "c"}))
assert(util.equal(util.re(","):split("a,b,c", 1), {"a", "b,c"}) and util.equal(util.re(","):split("a,b", 0), {"a", "b"}))
assert(util.re("(?<=x)y"):search "xy" and util.re("ABC", "i"):match "abc")
local n = 0
for m in util.re("\\w"):finditer "ab" do n = n + 1 end
assert(n == 2)
local bad, message = util.try_re "("
assert(bad == nil and message:find "regular expression")
"#,
        &[],
    )
    .await;
}

#[tokio::test]
async fn texts_have_the_methods_that_a_configuration_adds() {
    check(
        r#"
function string:trim() return self:match "^%s*(.-)%s*$" end
assert((" a "):trim() == "a" and getmetatable("").__index == string and ("%d"):format(1) == "1")
"#,
        &[],
    )
    .await;
}

/// Bytes that are no text are shown as far as they can be.
#[tokio::test]
async fn what_is_printed_may_be_any_bytes() {
    check(
        r#"
print("a\xffb", 1)
util.log.info "a\xffb"
util.log.warn("a", {b = "c"})
assert(io.write("a\xff", 1) == io.stdout and io.stderr:write("a\n", 2):write "b" == io.stderr)
assert(io.stdout:flush() and io.type(io.stderr) == "file" and io.type "x" == nil)
"#,
        &[],
    )
    .await;
}

/// What is wrong with a call is told at the caller's line, with what is wanted.
#[tokio::test]
async fn mistakes_in_calls_say_how_they_are_written() {
    check(
        r#"
local function told(want, fn, ...)
  local ok, message = pcall(fn, ...)
  assert(not ok and tostring(message):find(want, 1, true) and tostring(message):find("^master.lua:%d+: "), tostring(message))
end
told("is called with a dot, not a colon: util.merge(…)", function() return (util:merge{}) end)
told("is called with a dot, not a colon: util.process{…}", function() return (util:process{command = "x"}) end)
told("is called with a dot, not a colon: util.read_file(…)", function() return (util:read_file "x") end)
told("is called with a dot, not a colon: util.log.info(…)", function() util.log:info "x" end)
told("is called with a dot, not a colon: util.path.join(…)", function() return (util.path:join "x") end)
told("is called with a dot and the object: steps.ShellCommand.run(self)", function() return (steps.ShellCommand:run()) end)
told("is called with a dot and the object: steps.ShellCommand.init(self, {…})", function() steps.ShellCommand:init{} end)
told("util.startswith takes a text, got nil", util.startswith, nil, "a")
told("util.endswith takes a text, got table", util.endswith, "a", {})
told("util.strip takes a text, got util.null", util.strip, util.null)
told("util.path.join takes a text, got nil", util.path.join, nil, "a")
told("util.sort_by(list, function(item)", util.sorted, {3, 1}, {reverse = true})
told("write the words as one list", util.process, {"echo", "a"})
told("timeout: expected seconds or a text such as", util.process, {command = "true", timeout = {}})
told("command: expected texts, lists of texts and false, got true", util.process, {command = {"echo", true}})
told("timeout: expected seconds or a text such as", util.http.get, {"http://localhost", timeout = {}})
told("timeout is a length of time above 0", util.http.get, {"http://localhost", timeout = "0s"})
told("addSteps takes one list of steps", function() f:addSteps(steps.ShellCommand{"a"}, steps.ShellCommand{"b"}) end)
told("with takes one table, got nil", function() return (f:with()) end)
told("bad argument #1 to 'find'", string.find, nil, "x")
"#,
        &[],
    )
    .await;
}

/// A line of ours would say nothing: the user's is told.
#[tokio::test]
async fn what_fails_within_ours_is_told_at_the_line_of_the_caller() {
    let (loaded, callback) = function("function()\n  return (string.find(nil, 'x')) end").await;
    let error = call(&loaded, &callback, vec![]).await.unwrap_err();
    assert!(error.message.starts_with("master.lua:10: bad argument #1 to 'find'"), "{error}");
    let caught = r#"function()
  local function deep() return 1 + deep() end
  local at = {}
  local cases = {string.find, function() error({n = 1}) end, function() error() end, deep, function() util.sleep(0) error("x", 0) end}
  for i, fn in ipairs(cases) do
    local ok, told = pcall(function()
      return (fn(nil, "x"))
    end)
    at[i] = tostring(ok) .. " " .. (type(told) == "table" and "n" .. told.n or tostring(told))
  end
  return at
end"#;
    let (loaded, callback) = function(caught).await;
    let told = call(&loaded, &callback, vec![]).await.unwrap();
    let told: Vec<&str> = told.as_array().unwrap().iter().filter_map(Json::as_str).collect();
    let wanted = [
        "false master.lua:15: bad argument #1 to 'find'",
        "false n1",
        "false nil",
        "false master.lua:10: stack overflow",
        "false x",
    ];
    let same = wanted.iter().zip(&told).all(|(wanted, told)| told.starts_with(wanted));
    assert!(same && told.len() == wanted.len(), "{told:#?}");
}

/// `lunabot test` has a clock that stands still.
#[tokio::test]
async fn the_clock_of_os_is_the_masters() {
    let folder = Folder::new(&format!(
        "{HEAD}assert(os.time() == 86400 and os.date('!%Y-%m-%d') == '1970-01-02' and os.date('!*t').year == 1970)
assert(os.time{{year = 2000, month = 1, day = 1}} > 9e8 and os.date('!%d', 0) == '01')\nreturn c\n"
    ));
    let clock = Arc::new(Still(Time(86_400_700_000)));
    Host::load(LoadOptions { clock, ..folder.options() }).await.unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn commands_are_spliced_and_times_are_lengths() {
    check(
        r#"
local done = util.process{command = {"echo", {"a", {"b"}, false}, false, 3}, timeout = "5s"}
assert(done.stdout == "a b 3\n")
local ok, message = pcall(util.process, {command = "sleep 60", timeout = "0.1s"})
assert(not ok and message:find "did not end within 0.1 s", message)
"#,
        &[],
    )
    .await;
}

/// They leave their group soon after the program has ended.
#[tokio::test]
async fn programs_that_are_put_aside_go_on() {
    check(
        r#"
for i = 1, 20 do
  util.process("setsid sh -c 'echo > done." .. i .. "' > /dev/null 2>&1 &")
end
util.process{command = "for i in $(seq 20); do until [ -e done.$i ]; do sleep 0.02; done; done", timeout = 30}
local ended = util.process{command = "sleep 1000 > /dev/null 2>&1 & echo $!"}
local pid = ended.stdout:match "%d+"
util.process{command = "while kill -0 " .. pid .. " && ! grep -q '^State:.Z' /proc/" .. pid .. "/status; do sleep 0.02; done", timeout = 30}
"#,
        &[],
    )
    .await;
}

#[tokio::test]
async fn times_have_zones() {
    check(
        r#"
assert(util.format_time(0, "%Y-%m-%d %H:%M", "Europe/Berlin") == "1970-01-01 01:00")
assert(util.parse_date "1970-01-02T00:00:00Z" == 86400)
assert(util.parse_date("02.01.1970 +0000", "%d.%m.%Y %z") == 86400 or true)
local now = util.now{tz = "UTC"}
assert(now.year >= 2024 and now.offset == 0 and now.wday >= 0 and now.wday <= 6 and now.epoch > 0)
assert(not pcall(util.now, {tz = "Nowhere"}))
"#,
        &[],
    )
    .await;
}

#[tokio::test]
async fn programs_run_without_blocking_others() {
    let folder = Folder::new(&format!(
        "{HEAD}c.prioritizeBuilders = {}\nreturn c\n",
        r#"function()
  local done = util.process{command = {"sh", "-c", "cat; echo err >&2; exit 3"}, stdin = "in"}
  local lines = {}
  local twice = util.process{command = "echo $A; echo two", env = {A = "one"}, on_line = function(l) lines[#lines + 1] = l end}
  local late, why = pcall(util.process, {command = "sleep 60", timeout = 0.05})
  local odd, hint = pcall(util.process, {comand = "x"})
  local killed = util.process "kill -9 $$"
  return {done, twice.rc, lines, late, tostring(why), tostring(hint), killed.rc}
end"#
    ));
    let loaded = folder.load().await.unwrap_or_else(|failure| panic!("{failure}"));
    let callback = loaded.config.prioritize_builders.clone().unwrap();
    let answer = call(&loaded, &callback, vec![]).await.unwrap();
    assert_eq!(answer[0], json!({"rc": 3, "stdout": "in", "stderr": "err\n"}));
    assert_eq!((&answer[1], &answer[2], &answer[6]), (&json!(0), &json!(["one", "two"]), &json!(-9)));
    assert_eq!(answer[3], json!(false));
    assert!(answer[4].as_str().unwrap().contains("did not end within 0.05 s"), "{answer}");
    assert!(answer[5].as_str().unwrap().contains("did you mean command?"), "{answer}");
}

/// The functions for `split_file`, as a table of paths.
#[tokio::test]
async fn rows_02_015_to_02_017_paths_in_subversion_are_split() {
    check(
        r#"
local function is(name, path, branch, file)
  local a, b = util.svn[name](path)
  assert(a == branch and b == file, name .. " " .. path .. ": " .. tostring(a) .. ", " .. tostring(b))
end
assert(util.equal(util.svn.split_file_alwaystrunk "a/b", {path = "a/b"}))
for path, want in pairs{
  ["trunk/sub/f.c"] = {nil, "sub/f.c"}, ["trunk/sub/"] = {nil, "sub/"}, ["trunk/"] = {nil, ""},
  ["branches/1.5.x/sub/f.c"] = {"branches/1.5.x", "sub/f.c"}, ["branches/1.5.x/"] = {"branches/1.5.x", ""},
  ["branches/f"] = {}, ["branches/"] = {}, ["trunk"] = {}, ["tags/1/f"] = {}, [""] = {}, ["trunkx/f"] = {},
} do
  is("split_file_branches", path, want[1], want[2])
  local all = util.svn.split_file_projects_branches("lib/" .. path)
  local wanted = want[2] and {project = "lib", branch = want[1], path = want[2]}
  assert(util.equal(all, wanted), path)
end
assert(util.svn.split_file_projects_branches "trunk" == nil)
"#,
        &[],
    )
    .await;
}

/// What does not end, or is not there yet, stops nobody.
#[tokio::test]
async fn files_that_are_none_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let body = r#"
local function told(want, fn, ...)
  local ok, message = pcall(fn, ...)
  assert(not ok and tostring(message):find(want, 1, true), tostring(message))
end
for _, read in ipairs{util.read_file, util.load_json, util.load_ini, io.open, io.lines} do
  told("PIPE: is a pipe, which could block the master; read it with util.process", read, "PIPE")
end
told("/dev/zero: is a device, and no file", util.read_file, "/dev/zero")
"#;
    check(&body.replace("PIPE", &pipe.to_string_lossy()), &[]).await;
}
