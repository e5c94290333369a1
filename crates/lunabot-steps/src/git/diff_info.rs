//! `steps.GitDiffInfo` (06.030).

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::step::{
    CommandLine, CommandOutput, HasShell, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults,
    StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Problem, Renderable};
use serde_json::json;

const CLASS: &str = "GitDiffInfo";

step_params! {
    /// Notes which lines the tree's commit differs in.
    pub struct GitDiffInfoParams: shell {
        /// What to compare with: the lines that changed since the last common commit. Default `master`.
        #[schemars(extend("default" = "master"))]
        #[serde(rename = "compareToRef")]
        pub compare_to_ref: Option<Renderable<String>>,
        /// The name of the build data. Default `diffinfo-master`.
        #[schemars(extend("default" = "diffinfo-master"))]
        #[serde(rename = "dataName")]
        pub data_name: Option<Renderable<String>>,
    }
}

impl OwnChecks for GitDiffInfoParams {
    fn problems(&self) -> Vec<Problem> {
        let command =
            self.command.iter().map(|_| Problem::new("command", "the step has its own; leave it out"));
        command.collect()
    }
}

/// Declares the step.
pub static GIT_DIFF_INFO: StepKind = StepKind {
    kind: step_kind(
        CLASS,
        &["compareToRef", "dataName"],
        "Stores, as build data in JSON, which lines of which files differ from the last commit in common with another \
         branch, and sets diffinfo-merge-base-commit to that commit.",
        schema_of::<GitDiffInfoParams>,
        check_as::<GitDiffInfoParams>,
    ),
    defaults: StepDefaults::named(CLASS).described("running GitDiffInfo", CLASS),
    build: |rendered| {
        let params: GitDiffInfoParams = read(rendered)?;
        Ok(Box::new(GitDiffInfo {
            options: params.shell()?,
            compare_to: given(&params.compare_to_ref).unwrap_or_else(|| "master".into()),
            data_name: given(&params.data_name).unwrap_or_else(|| "diffinfo-master".into()),
        }))
    },
};

struct GitDiffInfo {
    options: ShellOptions,
    compare_to: String,
    data_name: String,
}

#[async_trait]
impl Step for GitDiffInfo {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let base = match self.git(cx, "stdio-merge-base", &["merge-base", "HEAD", &self.compare_to]).await? {
            Ok(base) => base.trim().to_string(),
            Err(results) => return Ok(results),
        };
        cx.set_property("diffinfo-merge-base-commit", base.as_str().into(), CLASS);
        let args = ["-c", "core.quotePath=false", "diff", "--no-prefix", "-U0", &base, "HEAD"];
        let diff = match self.git(cx, "stdio-diff", &args).await? {
            Ok(diff) => diff,
            Err(results) => return Ok(results),
        };
        let data = Json::from(files(&diff)).to_string();
        cx.set_build_data(&self.data_name, data.into_bytes(), CLASS).await?;
        Ok(Results::Success)
    }
}

impl GitDiffInfo {
    /// What git prints; or, where it fails, the step's result.
    async fn git(
        &self,
        cx: &StepContext,
        log: &str,
        args: &[&str],
    ) -> Result<Result<String, Results>, StepError> {
        let words = ["git"].iter().chain(args).map(ToString::to_string).collect();
        let options = ShellOptions { command: Some(CommandLine::Words(words)), ..self.options.clone() };
        let output = CommandOutput { stdio_log_name: Some(log.into()), ..CommandOutput::collecting_stdout() };
        let command = cx.make_remote_shell_command(&options, output).await?;
        let outcome = cx.run_command(command).await?;
        let results = outcome.results();
        Ok(if results == Results::Success { Ok(outcome.stdout) } else { Err(results) })
    }
}

/// The files and hunks of a diff without context.
fn files(diff: &str) -> Vec<Json> {
    let mut files: Vec<Json> = Vec::new();
    // Lines of a hunk that are still to come: they may look like headers.
    let mut left = 0;
    for line in diff.lines() {
        if left > 0 && line.starts_with(['+', '-', ' ']) {
            left -= 1;
            continue;
        }
        if let Some(names) = line.strip_prefix("diff --git ") {
            let (source, target) = halves(names);
            files.push(json!({"source_file": source, "target_file": target, "is_binary": false, "is_rename": false, "hunks": []}));
            continue;
        }
        let Some(file) = files.last_mut() else { continue };
        if let Some(name) = line.strip_prefix("--- ") {
            file["source_file"] = unquoted(name).into();
        } else if let Some(name) = line.strip_prefix("+++ ") {
            file["target_file"] = unquoted(name).into();
        } else if let Some(name) = line.strip_prefix("rename from ") {
            file["source_file"] = unquoted(name).into();
            file["is_rename"] = true.into();
        } else if let Some(name) = line.strip_prefix("rename to ") {
            file["target_file"] = unquoted(name).into();
        } else if line.starts_with("Binary files ") || line.starts_with("GIT binary patch") {
            file["is_binary"] = true.into();
        } else if let Some([ss, sl, ts, tl]) = hunk(line) {
            left = sl + tl;
            if let Some(hunks) = file["hunks"].as_array_mut() {
                hunks.push(json!({"ss": ss, "sl": sl, "ts": ts, "tl": tl}));
            }
        }
    }
    files
}

/// Start and length in the source and the target, of `@@ -1,2 +3 @@`.
fn hunk(line: &str) -> Option<[u64; 4]> {
    let mut words = line.strip_prefix("@@ ")?.split(' ');
    let range = |word: Option<&str>, sign: char| -> Option<(u64, u64)> {
        let word = word?.strip_prefix(sign)?;
        let (start, length) = word.split_once(',').unwrap_or((word, "1"));
        Some((start.parse().ok()?, length.parse().ok()?))
    };
    let (source, target) = (range(words.next(), '-')?, range(words.next(), '+')?);
    Some([source.0, source.1, target.0, target.1])
}

/// The two names of a file that keeps its name; others tell theirs in further lines.
fn halves(names: &str) -> (String, String) {
    let middle = names.len() / 2;
    match (names.get(..middle), names.get(middle + 1..)) {
        (Some(one), Some(two)) if one == two => (unquoted(one), unquoted(two)),
        _ => (names.to_string(), names.to_string()),
    }
}

/// A name as git writes it: with a tab behind it where it has a blank, in quotes where it has stranger things.
fn unquoted(name: &str) -> String {
    let name = name.trim_end_matches('\t');
    let Some(inner) = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) else {
        return name.into();
    };
    let (mut plain, mut rest) = (String::new(), inner.chars());
    while let Some(c) = rest.next() {
        match (c, if c == '\\' { rest.next() } else { None }) {
            (_, Some('t')) => plain.push('\t'),
            (_, Some('n')) => plain.push('\n'),
            (_, Some(other)) => plain.push(other),
            (c, None) => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_06_030_a_diff_is_read_as_files_and_hunks() {
        let diff = "diff --git a b c a b c\nindex 1..2 100644\n--- a b c\t\n+++ a b c\t\n@@ -1 +1,2 @@ fn x\n--- x\n+++ y\n+z\n\
                    @@ -5,0 +7 @@\n+w\n\\ No newline at end of file\n\
                    diff --git old new\nsimilarity index 100%\nrename from old\nrename to new\n\
                    diff --git n n\nnew file mode 100644\n--- /dev/null\n+++ n\n@@ -0,0 +1 @@\n+n\n\
                    diff --git p.png p.png\nBinary files p.png and p.png differ\n";
        let found = files(diff);
        let names = |file: &Json| {
            format!("{} {}", file["source_file"].as_str().unwrap(), file["target_file"].as_str().unwrap())
        };
        assert_eq!(
            found.iter().map(names).collect::<Vec<_>>(),
            ["a b c a b c", "old new", "/dev/null n", "p.png p.png"]
        );
        assert_eq!(
            found[0]["hunks"],
            json!([{"ss": 1, "sl": 1, "ts": 1, "tl": 2}, {"ss": 5, "sl": 0, "ts": 7, "tl": 1}])
        );
        let flags: Vec<_> = found.iter().map(|f| (f["is_rename"] == true, f["is_binary"] == true)).collect();
        assert_eq!(flags, [(false, false), (true, false), (false, false), (false, true)]);
        assert_eq!(unquoted("\"a\\tb\\\"\""), "a\tb\"");
    }
}
