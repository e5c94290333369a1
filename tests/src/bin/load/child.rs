//! The master under load: this program started again, in a folder of its own.

use crate::http::Http;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A master process; stopped when dropped.
pub struct Master {
    child: Child,
    address: String,
    /// Where instant workers knock when they get a command that says so.
    pub bell: UdpSocket,
    /// From the start of the process to its first answer.
    pub first_answer: Duration,
}

impl Master {
    pub fn start(dir: &TempDir, config: &str) -> Result<Master> {
        std::fs::write(dir.path().join("master.lua"), config)?;
        Self::start_again(dir.path())
    }

    #[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
    pub fn start_again(dir: &Path) -> Result<Master> {
        let bell = UdpSocket::bind("127.0.0.1:0")?;
        bell.set_read_timeout(Some(Duration::from_secs(30)))?;
        let begun = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve".as_ref(), dir.as_os_str()])
            .env("LOAD_BELL", bell.local_addr()?.port().to_string())
            .env("LUNABOT_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the master")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("piped")?).read_line(&mut line)?;
        let Some(address) = line.trim().strip_prefix("http://") else {
            bail!("the master did not start: {line}");
        };
        let address = address.trim_end_matches('/').to_string();
        Http::connect(&address)?.get("/api/v2/masters")?;
        Ok(Master { child, address, bell, first_answer: begun.elapsed() })
    }

    pub fn http(&self) -> Result<Http> {
        Http::connect(&self.address)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, in seconds.
    pub fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks / 100.0)
    }

    /// A line of `/proc/PID/status` in MB: `VmRSS`, `VmHWM`.
    pub fn memory(&self, line: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let found = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':')).context("a line")?;
        Ok(found.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid())?);
        Ok(nix::sys::signal::kill(pid, signal)?)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.signal(nix::sys::signal::Signal::SIGINT);
        let _ = self.signal(nix::sys::signal::Signal::SIGINT);
        let _ = self.child.wait();
    }
}
