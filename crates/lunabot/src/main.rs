//! The program `lunabot`: see the library for everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    lunabot::main()
}
