//! What tests of the whole share: a real master process, a real repository, and waiting for events.
//!
//! Nothing here reaches into the rooms; what a test sees is what a user sees: files, processes, HTTP.

mod browser;
mod buildbot;
mod documented;
mod master;
mod own_worker;
mod proxy;
mod repo;
mod stock_worker;

pub use browser::Browser;
pub use buildbot::Buildbot;
pub use documented::{BEFORE, documented, documented_folder, running, shown_block, shown_files};
pub use master::{Events, Master, lunabot_binary, mounted};
pub use own_worker::OwnWorker;
pub use proxy::{Fault, Proxy};
pub use repo::Repo;
pub use stock_worker::{PROTOCOLS, Release, StockWorker, buildbot, sendchange};

use std::path::PathBuf;

/// Where pip has put the packages of Buildbot for the tests.
pub fn site_packages() -> anyhow::Result<PathBuf> {
    let libraries = stock_worker::venv().join("lib");
    for python in std::fs::read_dir(&libraries)? {
        let packages = python?.path().join("site-packages");
        if packages.join("buildbot_www/static").is_dir() {
            return Ok(packages);
        }
    }
    anyhow::bail!("tests/run.sh installs buildbot-www below {}", libraries.display())
}

/// The root of the checkout.
pub fn project_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests crate lies in the project")
        .to_path_buf()
}
