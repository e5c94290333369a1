//! Pages of the configuration's own: the documentation's, and what may go wrong with one (lua-api § 3).

use anyhow::{Context, Result};
use lunabot_tests::{Browser, Master, documented_folder, running, site_packages};
use std::sync::Arc;

const PAGE: &str = "customization/dashboards.md";

/// The documentation's dashboard; `more` is Lua after it.
async fn wall(more: &str) -> Result<Master> {
    let dir = documented_folder(PAGE, "A wall of builders", "")?;
    let file = dir.path().join("master.lua");
    let config = std::fs::read_to_string(&file)?;
    let config = config.replace("\nreturn c\n", &format!("\nc.www.port = 0\n{more}\nreturn c\n"));
    std::fs::write(&file, config)?;
    Master::start_in(Arc::new(dir)).await
}

#[tokio::test]
async fn a_template_stands_in_the_frame_of_the_pages() -> Result<()> {
    let master = wall("").await?;
    master.force("runtests").await?;
    master.finished_build(1).await?;
    let browser = Browser::start().await?;
    browser.open(master.base()).await?;
    browser.click("nav a[href$='dashboards/wall']").await?;
    assert_eq!(browser.text("h1").await?, "The wall");
    let row = browser.text(".wall tr").await?;
    assert!(row.contains("runtests") && row.contains("success"), "{row}");
    let title = browser.script("return document.title").await?;
    assert!(title.as_str().is_some_and(|title| title.starts_with("The wall · ")), "{title}");
    let padding =
        browser.script("return getComputedStyle(document.querySelector('.wall td')).paddingLeft").await?;
    assert_ne!(padding, "0px", "the styles of the template count");
    browser.close().await?;
    let (_, page) = master.text("/dashboards/wall?only=x").await?;
    assert!(!page.contains("/builds/1"), "{page}");
    std::fs::write(master.dir().join("templates/wall.html"), "<p>{{ '<' }}new</p>")?;
    let (_, page) = master.text("/dashboards/wall").await?;
    assert!(page.contains("<p>&lt;new</p>") && page.contains("<nav"), "{page}");
    Ok(())
}

#[tokio::test]
async fn rows_10_036_10_037_buildbots_client_shows_it_in_its_own_frame() -> Result<()> {
    let packages = site_packages()?;
    let more = format!("c.www.client = {{dir = '{}/buildbot_www/static'}}", packages.display());
    let master = wall(&more).await?;
    let (_, settings) = master.text("/client/config").await?;
    assert!(
        settings
            .contains(r#""wsgi_dashboards":[{"name":"wall","caption":"Wall","order":5,"icon":"FaThLarge"}]"#),
        "{settings}"
    );
    let (status, page) = master.text("/client/plugins/wsgi_dashboards/wall/index.html").await?;
    assert_eq!(status, 200);
    assert!(page.contains("<h1>The wall</h1>") && !page.contains("<nav"), "{page}");
    let browser = Browser::start().await?;
    browser.open(&format!("{}/client/#/wall", master.base())).await?;
    browser.find(".bb-wsgi-dashboard-view .wall").await?;
    browser.close().await?;
    Ok(())
}

const FAULTY: &str = r#"
local function app(request)
  local what = request.query.what
  if what == "raise" then error("no such thing") end
  if what == "loop" then while true do end end
  if what == "wait" then util.sleep(1000) end
  if what == "nonsense" then return 7 end
  if what == "header" then return {headers = {["a b"] = "c"}} end
  if what == "template" then return util.render("none.html") end
  if what == "nothing" then return nil end
  if what == "echo" then return {status = 201, headers = {["content-type"] = "text/plain"}, body = request.method .. request.path .. request.body} end
  count = (count or 0) + 1
  return "<p>call " .. count .. "</p>"
end
c.lua = {callback_cpu_seconds = 0.2, callback_timeout = 2}
local more = {dashboards = {
  util.Dashboard{name = "one", app = app},
  util.Dashboard{name = "kept", app = app, cache_seconds = 600, static = "files"},
}}
"#;

#[tokio::test]
async fn what_goes_wrong_stays_on_its_page() -> Result<()> {
    let dir = tempfile::TempDir::new()?;
    std::fs::create_dir(dir.path().join("files"))?;
    std::fs::write(dir.path().join("files/a.css"), "p {}")?;
    std::fs::write(dir.path().join("secret"), "secret")?;
    let config = running(FAULTY).replace("c.www = { port = 0 }", "c.www = more\nc.www.port = 0");
    std::fs::write(dir.path().join("master.lua"), config)?;
    let master = Master::start_in(Arc::new(dir)).await?;
    for (what, status, told) in [
        ("raise", 500, "master.lua:13: no such thing"),
        ("loop", 500, "c.lua.callback_cpu_seconds"),
        ("wait", 500, "did not end within 2 s"),
        ("nonsense", 500, "expected HTML, a table"),
        ("header", 500, "headers: a b cannot be sent"),
        ("template", 500, "none.html: template not found"),
        ("nothing", 404, "There is no dashboard one&#x2f;: its function returned nil"),
        ("other", 200, "<p>call 1</p>"),
    ] {
        let (code, page) = master.text(&format!("/dashboards/one?what={what}")).await?;
        assert!(code == status && page.contains(told), "{what}: {code} {page}");
        assert!(status != 500 || page.contains("master.lua:"), "{what}: {page}");
    }
    let errors = master.get("script_errors?callback=app").await?;
    let kinds: Vec<&str> = errors["script_errors"]
        .as_array()
        .context("rows")?
        .iter()
        .filter_map(|row| row["kind"].as_str())
        .collect();
    for kind in ["raise", "cpu", "deadline", "nonsense"] {
        assert!(kinds.contains(&kind), "{kind}: {errors}");
    }
    let (_, first) = master.text("/dashboards/kept").await?;
    let (_, again) = master.text("/dashboards/kept").await?;
    assert!(first.contains("call 2") && again.contains("call 2"), "{again}");
    assert_eq!(master.text("/dashboards/kept/static/a.css").await?, (200, "p {}".into()));
    for path in ["/dashboards/kept/static/..%2fsecret", "/dashboards/kept/static/%2e%2e%2fsecret"] {
        let (status, text) = master.text(path).await?;
        assert!(status == 404 && !text.contains("secret\n"), "{path}: {status} {text}");
    }
    let http = reqwest::Client::new();
    let url = format!("{}/dashboards/one/x/y?what=echo", master.base());
    let sent = http.post(&url).body("hello").send().await?;
    assert_eq!(sent.status().as_u16(), 201);
    assert_eq!(sent.text().await?, "POST/x/yhello");
    let foreign = http.post(&url).header("origin", "https://evil.example").body("x").send().await?;
    assert_eq!(foreign.status().as_u16(), 403);
    Ok(())
}
