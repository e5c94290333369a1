//! `shell`: runs a program (rows 08.024 to 08.026).

use super::{Cx, Outcome};
use crate::{
    errors::Failure,
    process::{self, Spec},
    report::Report,
};

pub(super) async fn shell(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let ended = process::run(cx, Spec::of_shell(cx)?, report, true).await?;
    Ok(if ended.interrupted { Outcome::Interrupted } else { Outcome::Finished })
}
