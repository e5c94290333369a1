//! Test results.

use super::{flag, int, opt_int, opt_text, text};
use crate::error::Result;
use crate::pool::Cols;
use crate::resource::{Decl, Resource};
use serde::Serialize;

/// 09.022.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResultSet {
    pub test_result_setid: i64,
    pub builderid: i64,
    pub buildid: i64,
    pub stepid: i64,
    pub description: Option<String>,
    pub category: String,
    pub value_unit: String,
    pub tests_passed: Option<i64>,
    pub tests_failed: Option<i64>,
    pub complete: bool,
}

impl Resource for TestResultSet {
    const DECL: &'static Decl = &Decl {
        plural: "test_result_sets",
        from: "test_result_sets e",
        tables: &["test_result_sets"],
        columns: "e.id, e.builderid, e.buildid, e.stepid, e.description, e.category, e.value_unit, e.tests_passed, \
                  e.tests_failed, e.complete",
        key: "e.id",
        grows: false,
        fields: &[
            int("test_result_setid", "e.id"),
            int("builderid", "e.builderid"),
            int("buildid", "e.buildid"),
            int("stepid", "e.stepid"),
            opt_text("description", "e.description"),
            text("category", "e.category"),
            text("value_unit", "e.value_unit"),
            opt_int("tests_passed", "e.tests_passed"),
            opt_int("tests_failed", "e.tests_failed"),
            flag("complete", "e.complete"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(TestResultSet {
            test_result_setid: cols.int()?,
            builderid: cols.int()?,
            buildid: cols.int()?,
            stepid: cols.int()?,
            description: cols.opt_text()?,
            category: cols.text()?,
            value_unit: cols.text()?,
            tests_passed: cols.opt_int()?,
            tests_failed: cols.opt_int()?,
            complete: cols.bool()?,
        })
    }
}

/// 09.023.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResult {
    pub test_resultid: i64,
    pub builderid: i64,
    pub test_result_setid: i64,
    pub test_name: Option<String>,
    pub test_code_path: Option<String>,
    pub line: Option<i64>,
    pub duration_ns: Option<i64>,
    pub value: Option<String>,
}

impl Resource for TestResult {
    const DECL: &'static Decl = &Decl {
        plural: "test_results",
        from: "test_results v LEFT JOIN test_names n ON n.id = v.test_nameid \
               LEFT JOIN test_code_paths a ON a.id = v.test_code_pathid",
        tables: &["test_results"],
        columns: "v.id, v.builderid, v.test_result_setid, n.name, a.path, v.line, v.duration_ns, v.value",
        key: "v.id",
        grows: false,
        fields: &[
            int("test_resultid", "v.id"),
            int("builderid", "v.builderid"),
            int("test_result_setid", "v.test_result_setid"),
            opt_text("test_name", "n.name"),
            opt_text("test_code_path", "a.path"),
            opt_int("line", "v.line"),
            opt_int("duration_ns", "v.duration_ns"),
            opt_text("value", "v.value").of("string"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(TestResult {
            test_resultid: cols.int()?,
            builderid: cols.int()?,
            test_result_setid: cols.int()?,
            test_name: cols.opt_text()?,
            test_code_path: cols.opt_text()?,
            line: cols.opt_int()?,
            duration_ns: cols.opt_int()?,
            value: cols.opt_text()?,
        })
    }
}
