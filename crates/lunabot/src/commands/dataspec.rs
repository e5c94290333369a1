//! `lunabot dataspec`: what the API offers, without a master (09.106).

use crate::cli::Dataspec;
use anyhow::{Context as _, Result};
use std::process::ExitCode;

pub fn run(args: &Dataspec) -> Result<ExitCode> {
    let text = match args.openapi {
        true => serde_json::to_string_pretty(lunabot_www::openapi_document())?,
        false => serde_json::to_string_pretty(&lunabot_data::dataspec())?,
    };
    let text = match &args.global {
        Some(name) => format!("window.{name}={text}"),
        None => text,
    };
    match args.out.as_deref().filter(|out| out.as_os_str() != "--") {
        Some(file) => {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            }
            std::fs::write(file, text).with_context(|| file.display().to_string())?;
        }
        None => crate::ui::out(&text),
    }
    Ok(ExitCode::SUCCESS)
}
