//! `lunabot man`: the manual page, made from the declaration of the command line.

use crate::cli::Cli;
use anyhow::Result;
use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use std::io::Write;

/// Writes one page with a section per command.
pub fn render(out: &mut impl Write) -> Result<()> {
    let mut command = Cli::command();
    command.build();
    let page = Man::new(command.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    let mut roff = Roff::new();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        section(&mut roff, sub);
    }
    roff.to_writer(out)?;
    page.render_extra_section(out)?;
    page.render_version_section(out)?;
    Ok(())
}

fn section(roff: &mut Roff, command: &Command) {
    let title = format!("lunabot {}", command.get_name());
    roff.control("SH", [title.as_str()]);
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string);
    roff.text([roman(about.unwrap_or_default())]);
    for arg in command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version")
    {
        argument(roff, arg);
    }
}

fn argument(roff: &mut Roff, arg: &Arg) {
    let names: Vec<String> = arg
        .get_short()
        .map(|short| format!("-{short}"))
        .into_iter()
        .chain(arg.get_long().map(|long| format!("--{long}")))
        .collect();
    let takes_value = arg.get_action().takes_values();
    let value = arg.get_value_names().unwrap_or_default().join(" ");
    roff.control("TP", []);
    match (names.is_empty(), takes_value) {
        (true, _) => roff.text([italic(value)]),
        (false, true) => roff.text([bold(names.join(", ")), roman(" "), italic(value)]),
        (false, false) => roff.text([bold(names.join(", "))]),
    };
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if takes_value && !default.is_empty() {
        format!(" [default: {}]", default.join(" "))
    } else {
        String::new()
    };
    roff.text([roman(format!("{help}{default}"))]);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_has_a_section_with_its_options() {
        let mut page = Vec::new();
        super::render(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for part in
            [".TH lunabot", ".SH \"lunabot reconfig\"", "\\-\\-plan", "\\-\\-stop\\-grace", "[default: 10]"]
        {
            assert!(page.contains(part), "{part} is missing in\n{page}");
        }
        assert!(!page.contains("daemonized"));
    }
}
