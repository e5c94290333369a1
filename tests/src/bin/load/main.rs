//! The load driver: starts a master with simulated instant workers, measures from outside, prints medians, and with them
//! the limits of the same machine in the same run.
//!
//! `cargo run --release -p lunabot-tests --bin load -- [builds|force|rest|start|memory|log|reload|idle|collapse|decision|scripts|workers|api|events|crawl|limits|all] [--quick]`

mod api;
mod child;
mod config;
mod crawl;
mod events;
mod fleet;
mod history;
mod http;
mod instant;
mod limits;
mod queue;
mod report;
mod scenarios;
mod scripts;
mod wire;

use anyhow::{Result, bail};

const USAGE: &str = "usage: load [builds|force|rest|start|memory|log|reload|idle|collapse|decision|scripts|workers|api|events|crawl|limits|all] … [--quick]";

fn main() -> Result<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "serve") {
        // This program again, as the master under load.
        return instant::serve(words.get(1).map_or(".", String::as_str));
    }
    let quick = words.iter().any(|word| word == "--quick");
    words.retain(|word| word != "--quick");
    if words.is_empty() {
        words.push("all".into());
    }
    if words.iter().any(|word| word == "all") {
        words = scenarios::ALL.iter().map(|(name, _)| (*name).to_string()).collect();
    }
    for word in &words {
        let Some((name, run)) = scenarios::ALL.iter().find(|(name, _)| name == word) else {
            bail!("{word}? {USAGE}")
        };
        report::title(name);
        run(quick)?;
    }
    Ok(())
}
