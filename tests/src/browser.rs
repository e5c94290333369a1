//! A headless Chromium behind its WebDriver, for one test.

use anyhow::{Context, Result, bail};
use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Longer than anything a test waits for on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with an empty profile. Killed when dropped.
pub struct Browser {
    client: Client,
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    pub async fn start() -> Result<Browser> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver is installed by tests/run.sh")?;
        let port = port_of(&mut driver).await?;
        let profile = TempDir::new()?;
        let args = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
            format!("--user-data-dir={}", profile.path().display()),
        ]);
        // A page that cannot be had (no connection left, a script in its way) is a failure, not a long wait.
        let timeouts = json!({"pageLoad": PATIENCE.as_millis() as u64});
        let options = json!({"goog:chromeOptions": {"args": args}, "timeouts": timeouts});
        let capabilities = options.as_object().cloned().context("an object")?;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await?;
        Ok(Browser { client, _driver: driver, _profile: profile })
    }

    pub async fn open(&self, url: &str) -> Result<()> {
        Ok(self.client.goto(url).await?)
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> Result<Element> {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => Ok(element),
            Err(e) => bail!("{css}: {e}; the page reads:\n{}", self.text("body").await.unwrap_or_default()),
        }
    }

    /// The text of an element that is there.
    pub async fn text(&self, css: &str) -> Result<String> {
        Ok(self.client.find(Locator::Css(css)).await?.text().await?)
    }

    /// Clicks an element.
    pub async fn click(&self, css: &str) -> Result<()> {
        Ok(self.find(css).await?.click().await?)
    }

    /// Waits for an element of this name whose own text holds this.
    pub async fn read(&self, name: &str, text: &str) -> Result<Element> {
        let path = format!("//{name}[text()[contains(translate(., '\u{a0}', ' '), '{text}')]]");
        match self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await {
            Ok(element) => Ok(element),
            Err(e) => bail!("{path}: {e}; the page reads:\n{}", self.text("body").await.unwrap_or_default()),
        }
    }

    /// Types into a field, in place of what is there.
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let field = self.find(css).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Runs JavaScript in the page; its value.
    pub async fn script(&self, code: &str) -> Result<serde_json::Value> {
        Ok(self.client.execute(code, Vec::new()).await?)
    }

    /// Ends the session; without it the browser is killed.
    pub async fn close(self) -> Result<()> {
        Ok(self.client.close().await?)
    }
}

async fn port_of(driver: &mut Child) -> Result<u16> {
    let mut lines = BufReader::new(driver.stdout.take().context("piped")?).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some((_, port)) = line.split_once("on port ")
            && line.contains("success")
        {
            return Ok(port.trim().trim_end_matches('.').parse()?);
        }
    }
    bail!("chromedriver did not start")
}
